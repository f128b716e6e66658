"""The start of Piper's container: with the voices that were pulled, and none without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SERVE = Path(__file__).parents[1] / "deploy/piper/serve.py"


def serve(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SERVE)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30)


def test_without_a_whole_voice_it_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "en_US-lessac-medium.onnx").touch()
    ended = serve(tmp_path)
    assert ended.returncode == 1
    assert "docker compose run --rm models pull piper" in ended.stderr


def test_the_first_whole_voice_is_the_default(tmp_path: Path) -> None:
    voices, package = tmp_path / "voices", tmp_path / "packages/piper"
    voices.mkdir()
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "http_server.py").write_text("import sys; print(sys.argv[1:])")
    for name in ("en_US-lessac-medium", "hi_IN-rohan-medium"):
        (voices / f"{name}.onnx").touch()
    (voices / "hi_IN-rohan-medium.onnx.json").touch()
    ended = serve(voices, PYTHONPATH=str(package.parent))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip().endswith("'--model', 'hi_IN-rohan-medium.onnx']")
