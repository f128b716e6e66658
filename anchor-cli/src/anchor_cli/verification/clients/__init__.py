"""Clients of the servers under test: the same wire as the mesh uses."""
