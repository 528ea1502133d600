"""Documents on their way in: files, readers, and the process that parses."""
