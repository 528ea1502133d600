"""What computes a pass: torch itself, or an engine that has compiled the model's graph."""
