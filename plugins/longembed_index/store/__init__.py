"""Stores: what they must do, their kinds, and the usual one in a SQLite file."""
