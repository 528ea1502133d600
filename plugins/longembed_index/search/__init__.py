"""From a question to the documents, and the passages, that answer it."""
