"""Parsers of what others wrote."""
