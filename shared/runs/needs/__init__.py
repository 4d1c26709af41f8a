"""What needs a person: raised when it is known, counted, acknowledged, and gone when it is settled."""
