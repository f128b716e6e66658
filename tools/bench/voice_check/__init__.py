"""The part of `anchor verify-gpu` that needs torch: the speech model alone on the card.

`numerics` compares with the authors' library, `speech` speaks and judges the sound, `speed` times, `measure` collects;
`tiny_models` writes the folders of a rehearsal. Figures go to standard output as one line of JSON.
"""
