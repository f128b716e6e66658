"""Detectors over the readings: memory pressure, leaks, coming exhaustion, deviation from the plan.

Pure: no I/O, and the time is a parameter. Each detector takes a reading by `on_reading` and keeps its own state.
"""
