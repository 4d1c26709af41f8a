"""One list of operations as many chunks, and one response."""
