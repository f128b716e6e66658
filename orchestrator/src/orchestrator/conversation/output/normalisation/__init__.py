"""Text normalisation: generated text becomes the text that is spoken, captioned and remembered."""
