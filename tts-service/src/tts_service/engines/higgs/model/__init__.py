"""The higgs-audio v2 network: loading, quantisation, decode step, sampling, codec."""
