"""What thinks: adapters to language models, and the responder that needs none."""
