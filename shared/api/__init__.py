"""Handlers of the HTTP and timer functions: a request in, a response out."""
