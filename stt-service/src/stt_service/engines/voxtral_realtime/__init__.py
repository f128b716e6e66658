"""Voxtral Realtime on vLLM's stock server: transcribes while the speaker speaks."""
