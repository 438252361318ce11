"""The entry model's work: one item through every stage to one RESULT."""
