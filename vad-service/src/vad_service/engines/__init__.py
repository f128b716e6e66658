"""Speech models: one module per engine."""
