"""The other services, as the conversation's ports see them."""
