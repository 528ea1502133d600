"""What a method and a family are, and where a method's positions enter a model."""
