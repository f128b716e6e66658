"""PocketSphinx with a vocabulary built from the knowledge folder: small, on the CPU, English only."""
