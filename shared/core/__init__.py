"""The base of all packages: clock, problems, outcomes, settings, targets, schedule."""
