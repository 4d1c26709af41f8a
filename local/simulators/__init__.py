"""Simulated systems for development, demos and tests, on the loopback.

Finance & Operations, Business Central, Camunda 7, and a token issuer.
"""
