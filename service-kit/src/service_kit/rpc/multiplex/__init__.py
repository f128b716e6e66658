"""The multiplexed channel: many bidirectional calls between two services on one gRPC stream."""
