"""Embeddings of the knowledge: a worker process that computes them, the file that keeps them, and search in them."""
