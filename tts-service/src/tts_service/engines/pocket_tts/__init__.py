"""Pocket TTS by Kyutai: small, streaming, on the processor."""
