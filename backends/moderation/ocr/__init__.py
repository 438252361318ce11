"""Reading text: regions, crops, characters."""
