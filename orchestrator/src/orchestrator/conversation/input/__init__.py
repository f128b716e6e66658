"""From microphone audio to voice activity and transcripts."""
