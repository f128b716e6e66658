"""Routing: the engine of each language, fallback engines, and supervision of the engines."""
