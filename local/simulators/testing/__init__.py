"""Simulators for tests in one process."""
