"""`anchor plan`: divides the memory of one GPU among the models, computed from their shapes before loading."""
