"""The audit trail: who did what to which item, when and why; written once, and never changed."""
