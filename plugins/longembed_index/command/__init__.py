"""The commands on a store, one module each, and what they share."""
