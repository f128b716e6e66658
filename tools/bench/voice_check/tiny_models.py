"""`python -m voice_check.tiny_models MODEL CODEC`: writes the folders of a tiny speech model and its codec.

The weights are random, and those of the tests of real engines; their folder must be on the path.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import sys
from pathlib import Path

import higgs_weights


def main() -> None:
    """Write both folders."""
    model, codec = (Path(argument) for argument in sys.argv[1:3])
    for folder in (model, codec):
        folder.mkdir(parents=True, exist_ok=True)
    higgs_weights.write_model(model)
    # At full loudness its noise is now and then too loud for a reply.
    higgs_weights.write_codec(codec, loudness=0.3)


if __name__ == "__main__":
    main()
