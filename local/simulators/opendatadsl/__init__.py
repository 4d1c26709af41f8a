"""OpenDataDSL, simulated: batches of objects and their summaries, processes and their execution logs."""
