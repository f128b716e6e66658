"""Recognisers: one file or folder each."""
