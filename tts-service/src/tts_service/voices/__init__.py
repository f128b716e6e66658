"""Voices: lookup in the catalogue, reference recordings, storage of cloned voices."""
