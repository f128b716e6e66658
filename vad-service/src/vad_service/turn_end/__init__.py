"""Turn-end prediction: whether a pause ends the speaker's turn."""
