"""Speaks text with eSpeak NG, in a process of its own, over a pipe."""
