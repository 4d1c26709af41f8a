"""What `python -m local demo` plays: a file for each part of the story."""
