"""The `longembed` command, and what its commands have in common."""
