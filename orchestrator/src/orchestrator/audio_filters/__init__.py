"""Optional filters between the microphone and the speech services: noise suppression and automatic gain."""
