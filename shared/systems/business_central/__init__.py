"""Dynamics 365 Business Central: one list of operations as many `$batch` calls."""
