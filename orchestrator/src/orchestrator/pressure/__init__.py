"""What is done when the GPU's memory runs short, and when nobody needs it."""
