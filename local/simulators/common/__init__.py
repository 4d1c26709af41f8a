"""What all simulators share: server, call log, faults, control API."""
