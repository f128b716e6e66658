"""The doors: one file each, a thin adapter on a session."""
