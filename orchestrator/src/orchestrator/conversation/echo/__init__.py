"""Detection of the anchor's own voice in the microphone, by sound and by words."""
