"""Permission to act: rules, stop switches, cancelled runs."""
