"""Starts Piper's server with the voices that TTS_PIPER_VOICES names (JSON), in the folder it is started in.

Voices that are not there yet are fetched; what was put there by hand is left alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = (sys.executable, "-m", "piper.http_server", "--host", "0.0.0.0", "--port", "5000")


def fetch(names: list[str]) -> None:
    """Bring voices here, each file in one step: half a voice would pass for one for ever after."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        subprocess.run((sys.executable, "-m", "piper.download_voices", *names), cwd=folder, check=True)  # noqa: S603
        for file in Path(folder).iterdir():
            file.rename(file.name)


def main() -> None:
    """Fetch what is missing, then become the server."""
    voices: list[str] = json.loads(os.environ["TTS_PIPER_VOICES"])
    missing = [name for name in voices if not all(Path(name + end).is_file() for end in (".onnx", ".onnx.json"))]
    if missing:
        fetch(missing)
    os.execv(sys.executable, (*SERVER, "--model", f"{voices[0]}.onnx"))  # noqa: S606


main()
