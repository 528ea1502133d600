"""Scores of queries beside documents of any length."""
