"""The validation layer: turns an inbound request into a model or a problem."""
