"""Score pairs of a query and a document of any length."""
