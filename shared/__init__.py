"""Nightshift: what every function shares."""

__version__ = "0.1.0"
