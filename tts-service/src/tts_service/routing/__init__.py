"""Which engine speaks which language, and which takes over when one fails."""
