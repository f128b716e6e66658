"""Optional filters between the microphone and speech recognition: noise suppression and gain."""
