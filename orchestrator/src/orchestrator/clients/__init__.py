"""Clients of the other services, which implement the conversation's ports."""
