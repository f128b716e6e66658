"""The engine `higgs`: higgs-audio v2, a speech language model on the GPU, with our own streaming decode loop."""
