"""Bringing models here, and nothing that is not what it should be."""
