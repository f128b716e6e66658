"""Turn-end predictors: one module per predictor."""
