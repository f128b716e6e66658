"""Sessions: turn-taking, replies, history, and every door a client may come through."""
