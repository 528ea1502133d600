"""From a name to a model that reads long texts."""
