"""Conversion between `anchor.session.v1` on the wire and `conversation.messages`."""
