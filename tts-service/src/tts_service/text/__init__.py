"""Text processing before synthesis: normalisation, and segmentation into phrases."""
