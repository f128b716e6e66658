"""Piper behind its own HTTP server."""
