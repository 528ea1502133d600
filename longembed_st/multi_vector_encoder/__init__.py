"""Several vectors for a text of any length."""
