"""Sessions: turn-taking, replies, history, and all client APIs."""
