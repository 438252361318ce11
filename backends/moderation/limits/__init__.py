"""How much a tenant may ask for: rate, concurrency, size and time, over all processes of the entry model."""
