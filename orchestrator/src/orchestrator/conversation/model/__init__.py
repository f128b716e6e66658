"""Shared by all stages: ports, events, the conversation and its history, services, clocks."""
