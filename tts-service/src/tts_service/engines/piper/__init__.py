"""The engine `piper`: Piper's HTTP server."""
