"""Voice activity: from frames to speech edges."""
