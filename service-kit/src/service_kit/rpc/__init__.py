"""gRPC: channels, servers, and one stream shared by all calls to a service (`multiplex`)."""
