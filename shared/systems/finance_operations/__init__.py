"""Dynamics 365 Finance & Operations: list failed batch jobs, and requeue them."""
