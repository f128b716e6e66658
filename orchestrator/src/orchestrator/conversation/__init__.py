"""One conversation: turn-taking, replies, history. Knows no gRPC, no HTTP, no proto."""
