"""The records of runs: spec, items, claims, idempotency, and what needs a person."""
