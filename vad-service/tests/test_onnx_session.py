"""Networks on onnxruntime: what the library does besides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The library writes its files within a second of the load.
LOAD = """
import sys, time
from pathlib import Path
from vad_service.onnx_session import open_onnx_session
session = open_onnx_session(Path(sys.argv[1]))
time.sleep(1.5)
print(len(session.get_inputs()))
"""


def test_onnxruntime_keeps_no_device_id_and_no_events(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-c", LOAD, str(ROOT / "models/silero_vad.onnx")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
