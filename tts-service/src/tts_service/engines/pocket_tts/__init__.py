"""The engine `pocket-tts`: Pocket TTS by Kyutai, a small streaming model for the CPU."""
