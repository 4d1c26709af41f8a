"""Calls to a target: connection, credentials, retries, deadline."""
