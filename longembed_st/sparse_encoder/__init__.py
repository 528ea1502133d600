"""Learned sparse vectors of texts of any length."""
