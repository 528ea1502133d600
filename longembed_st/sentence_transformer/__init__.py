"""One dense vector for a text of any length."""
