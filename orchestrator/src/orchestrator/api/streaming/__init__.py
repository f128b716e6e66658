"""APIs that hold a connection open: WebSocket and gRPC sessions."""
