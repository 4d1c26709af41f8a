"""Finance & Operations, simulated: batch jobs, their action, business events and faults."""
