"""Speech detection: audio to frames, frames to probabilities, probabilities to speech edges."""
