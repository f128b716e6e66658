"""A voice client for the native WebSocket: `anchor demo`, the self-test turn, and end-to-end tests."""
