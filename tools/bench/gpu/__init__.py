"""`make bench-gpu`: the engines of the GPU profile at their full size on one CUDA card, with random weights.

`devices` says on what, `bandwidth` how fast its memory is, `floors` what no step can be faster than, `higgs_steps`,
`higgs_speech`, `memory` and `voxtral` measure, `report` writes down. Nothing is downloaded.
"""
