"""The steps: each measures with the equipment, and returns its figures and checks."""
