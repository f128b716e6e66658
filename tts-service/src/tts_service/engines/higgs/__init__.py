"""higgs-audio v2: a speaking language model on the GPU, decoded by a loop of our own that streams."""
