"""The reader of each file format."""
