"""What makes Nightshift run on one machine: a development tool, never deployed."""
