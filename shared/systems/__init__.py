"""One file a system: its models, its client, its quirks."""
