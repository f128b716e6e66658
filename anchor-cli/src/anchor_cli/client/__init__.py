"""A client in the terminal: `anchor demo` and the self-test turn."""
