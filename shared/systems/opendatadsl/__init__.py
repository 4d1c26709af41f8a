"""OpenDataDSL: batches of objects, and executions of processes."""
