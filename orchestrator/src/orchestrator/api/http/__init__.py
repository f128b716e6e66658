"""Request/response APIs (REST, transcriptions, the simple WebSocket), and the web console's files."""
