"""Every example of the README's APIs, as a reader would paste it, against a running mesh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import wave
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text("utf-8")
APIS = README.partition("## APIs")[2].partition("\n## ")[0]
EXAMPLES = [
    pytest.param(block, id=f"{section.splitlines()[0].strip().replace(' ', '-')}-{number}")
    for section in APIS.split("\n### ")[1:]
    for number, block in enumerate(re.findall(r"```bash\n(.*?)```", section, re.DOTALL), 1)
]

pytestmark = pytest.mark.e2e


@pytest.fixture
def reader(mesh, tmp_path):
    """A folder as a reader has it, and the environment that leads the examples to the test's own mesh."""
    for name in (".venv", "examples", "content"):
        (tmp_path / name).symlink_to(PROJECT / name)
    ports = mesh.settings
    env = {
        **os.environ,
        "ANCHOR_URL": ports.audio_url,
        "ANCHOR_TARGET": f"127.0.0.1:{ports.orchestrator_grpc_port}",
    }

    def follow(example: str) -> subprocess.CompletedProcess[str]:
        for written, real in (
            (8080, ports.orchestrator_http_port),
            (8001, ports.stt_http_port),
            (8002, ports.vad_http_port),
        ):
            example = example.replace(f"127.0.0.1:{written}", f"127.0.0.1:{real}")
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    yield follow
    for name in (".venv", "examples", "content"):
        (tmp_path / name).unlink()


def test_the_readme_has_an_example_of_every_api():
    sections = {example.id.rsplit("-", 1)[0] for example in EXAMPLES}
    assert sections == {"WebSocket", "Simple-WebSocket", "REST", "OpenAI", "gRPC", "Operations"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_works(reader, example, tmp_path):
    done = reader(example)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "reply.wav" in example or "talk.py" in example:
        with wave.open(str(tmp_path / "reply.wav")) as reply:
            assert reply.getnframes() / reply.getframerate() > 2
