"""Client APIs over HTTP, WebSocket and gRPC, with their access checks, limits and rate limits."""
