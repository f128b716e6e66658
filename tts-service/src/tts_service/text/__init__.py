"""Text before synthesis: normalisation and phrases."""
