"""Voxtral Realtime behind vLLM's stock server: words while they are spoken."""
