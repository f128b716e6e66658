"""Text to speech: streaming speech, voices."""
