"""Microsoft Entra ID, simulated: tokens and their errors."""
