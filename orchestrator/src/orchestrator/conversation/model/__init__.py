"""What all stages share: ports, events, the conversation and its history, services, clocks."""
