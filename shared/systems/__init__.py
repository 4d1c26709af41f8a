"""The contract of a system, the registry, and one package per system."""
