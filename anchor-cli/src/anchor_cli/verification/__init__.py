"""`anchor verify-gpu`: proves on this machine's card what the documentation promises, in nine resumable steps.

`steps` do, `checks` decide (pure: figures to verdicts), `equipment` provides the servers: containers on a card, or tiny
models and test servers in a rehearsal. `runner` runs the steps and keeps their results.
"""
