"""How the memory of one GPU is shared out among the models: computed from their shapes, before anything is loaded."""
