"""Streaming recognition with a model that hears whole clips: the growing utterance is transcribed again and again."""
