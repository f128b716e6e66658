"""Content that users edit: the knowledge folder with its index, and the personas."""
