"""Careful waves, and whether items recovered after they were sent."""
