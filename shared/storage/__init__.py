"""The store: protocol, Azure Blob Storage, SQLite."""
