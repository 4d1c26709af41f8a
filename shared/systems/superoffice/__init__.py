"""SuperOffice: batch tasks."""
