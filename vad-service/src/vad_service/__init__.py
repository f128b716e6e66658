"""Voice activity and turn-end detection."""
