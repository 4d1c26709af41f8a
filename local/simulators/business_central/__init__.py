"""Business Central, simulated: `$batch`, entities, limits and faults."""
