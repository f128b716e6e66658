"""The network of higgs-audio v2: loading, quantisation, decode step, sampling, codec."""
