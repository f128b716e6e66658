"""Client APIs: HTTP, WebSocket and gRPC, and the checks in front of them."""
