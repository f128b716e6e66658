"""Voices: the catalogue, reference recordings, cloned voices on disk."""
