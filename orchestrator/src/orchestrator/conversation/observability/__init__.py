"""Latency waterfall and trace of each turn."""
