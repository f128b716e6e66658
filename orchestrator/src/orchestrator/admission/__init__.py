"""Admission: who may speak when more people want to than the machine can answer, and which work is shed before that."""
