"""`make bench-gpu`: the engines of the GPU profile at full size on one CUDA card, with random weights.

`devices` identifies the card, `bandwidth` measures its memory, `roofline` computes the least time of a step,
`higgs_steps`, `higgs_speech`, `memory` and `voxtral` measure, `report` renders. Nothing is downloaded.
"""
