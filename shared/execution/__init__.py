"""Find, judge and send the items of a run."""
