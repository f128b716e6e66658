"""GPU memory: what there is and who uses it."""
