"""Reactions to GPU memory pressure: the degradation ladder (a state machine), its controller, and engine parking."""
