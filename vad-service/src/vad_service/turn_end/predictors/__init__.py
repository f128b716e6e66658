"""Turn-end predictors."""
