"""Starts Piper's server with the voices in the working directory, which `anchor pull piper` fills."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SERVER = (sys.executable, "-m", "piper.http_server", "--host", "0.0.0.0", "--port", "5000")


def main() -> None:
    """Replace this process with the server; ends with 1 where there is no voice."""
    voices = sorted(path for path in Path().glob("*.onnx") if path.with_name(f"{path.name}.json").is_file())
    if not voices:
        sys.exit(f"no voice in {Path.cwd()}: `docker compose run --rm models pull piper` fetches them")
    # Its default voice; tts-service names a voice in every request.
    os.execv(sys.executable, (*SERVER, "--model", str(voices[0])))  # noqa: S606


main()
