"""Starts Piper's server with the voices of TTS_PIPER_VOICES, stored in the working directory.

The variable is a JSON list of voices, or the path of a model file, which is named after its voice. Missing voices are
fetched; existing files are not changed.
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
    """Download voices; each file is moved into place when complete, because a partial file would count as a voice."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        subprocess.run((sys.executable, "-m", "piper.download_voices", *names), cwd=folder, check=True)  # noqa: S603
        for file in Path(folder).iterdir():
            file.rename(file.name)


def read_voices(value: str) -> list[str]:
    """The voices that the variable names, as tts-service reads it."""
    return json.loads(value) if value.lstrip().startswith("[") else [Path(value).name.removesuffix(".onnx")]


def main() -> None:
    """Fetch missing voices, then replace this process with the server."""
    voices = read_voices(os.environ["TTS_PIPER_VOICES"])
    missing = [name for name in voices if not all(Path(name + end).is_file() for end in (".onnx", ".onnx.json"))]
    if missing:
        fetch(missing)
    os.execv(sys.executable, (*SERVER, "--model", f"{voices[0]}.onnx"))  # noqa: S606


if __name__ == "__main__":
    main()
