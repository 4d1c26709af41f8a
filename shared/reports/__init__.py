"""The end of a run: its report, its stored response, and its HTTP response."""
