"""Voxtral behind vLLM's stock server."""
