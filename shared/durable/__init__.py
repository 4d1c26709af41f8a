"""Orchestrators, activities and the entity of Durable Functions, and the client of the engine."""
