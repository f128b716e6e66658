"""Full-duplex session APIs over WebSocket and gRPC, and one-shot sessions for the request/response APIs."""
