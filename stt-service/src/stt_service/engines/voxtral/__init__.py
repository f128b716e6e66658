"""Voxtral on vLLM's stock server, by its transcription API."""
