"""Streaming recognition with a model for whole clips: transcribes the growing utterance again for each transcript."""
