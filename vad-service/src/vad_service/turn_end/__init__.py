"""Whether a pause ends the turn: predictors, and when they are asked."""
