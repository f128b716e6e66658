"""The multiplexed channel: many calls between two services on one gRPC stream."""
