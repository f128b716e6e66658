"""PocketSphinx with the words of this newsroom: small, on the CPU, English only."""
