"""Dynamics 365 Business Central: fan one list of operations out over many `$batch` calls."""

from shared.systems.business_central.chunk import read_companies
from shared.systems.business_central.drafts import MOST_OPERATIONS, Options, Written, read
from shared.systems.business_central.requests import SYSTEM, Batch, Operation, Safe, batch, batch_of, chunks
from shared.systems.business_central.sending import Sending

__all__ = [
    "MOST_OPERATIONS",
    "SYSTEM",
    "Batch",
    "Operation",
    "Options",
    "Safe",
    "Sending",
    "Written",
    "batch",
    "batch_of",
    "chunks",
    "read",
    "read_companies",
]
