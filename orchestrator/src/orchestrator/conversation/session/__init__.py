"""One session: its task, its client, and the registry of all sessions."""
