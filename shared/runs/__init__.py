"""The records of runs: spec, items, claims, idempotency, notices."""
