"""`anchor pull`: fetches model files from a hub, and verifies their format and hashes."""
