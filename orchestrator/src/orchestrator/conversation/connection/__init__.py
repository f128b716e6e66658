"""The client's connection: outgoing messages, and replay after a reconnect."""
