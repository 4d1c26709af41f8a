"""Marks: texts of our own in a field that people see.

A system without a key against repeats shows by its mark what a call has started, also after a lost response.
"""

import secrets


def new_mark() -> str:
    """Return a mark that no other call has."""
    return f"nightshift-{secrets.token_hex(8)}"
