"""What the models of every class share: settings, the reader of long texts, and its results."""
