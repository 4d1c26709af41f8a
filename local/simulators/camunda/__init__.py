"""Camunda 7, simulated: jobs, retries, batches, history and faults."""
