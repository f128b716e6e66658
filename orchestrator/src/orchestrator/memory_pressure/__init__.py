"""Reactions to scarce GPU memory: the degradation ladder, and parking of engines."""
