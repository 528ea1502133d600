"""What is done to an index: ingest, reindex, whiten, verify, watch, export."""
