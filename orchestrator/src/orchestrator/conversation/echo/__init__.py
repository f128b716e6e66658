"""Echo suppression: detects the anchor's own speech in the microphone, by sound and by words."""
