"""The checks of each step: figures to verdicts. Pure; `limits` has every limit and its source."""
