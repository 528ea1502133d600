"""Whole documents in, whole documents out: reading, indexing, searching, in any store.

No store is known here by name: see `store` for what one must do, and `testing` for its tests.
"""
