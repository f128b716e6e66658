"""`python -m voice_check tensors|measure`: prints figures as JSON; messages go to standard error."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m voice_check", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tensors = commands.add_parser("tensors", help="tensors that the folder lacks, and that the model does not know")
    tensors.add_argument("--model", type=Path, required=True)
    measure = commands.add_parser("measure", help="everything that is measured of the voice")
    for name in ("model", "codec", "recording", "sound"):
        measure.add_argument(f"--{name}", type=Path, required=True)
    for name in ("transcript", "text"):
        measure.add_argument(f"--{name}", required=True)
    for name in ("rows", "slots", "context"):
        measure.add_argument(f"--{name}", type=int, required=True)
    measure.add_argument("--tiny", action="store_true", help="on the processor, with few frames")
    options = parser.parse_args()
    # The engine warns about phrases that reach their limit, as those of random weights do.
    logging.getLogger("tts_service").setLevel(logging.ERROR)
    if options.command == "tensors":
        from voice_check.tensors import compare_tensors

        figures = compare_tensors(options.model)
    else:
        from voice_check.measure import Job, measure_voice

        figures = measure_voice(Job(**{name: value for name, value in vars(options).items() if name != "command"}))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
