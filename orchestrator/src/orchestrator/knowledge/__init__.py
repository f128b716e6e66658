"""The knowledge folder: indexing and retrieval."""
