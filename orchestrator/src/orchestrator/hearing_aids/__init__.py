"""What makes a microphone easier to hear, before voice activity and speech-to-text hear it."""
