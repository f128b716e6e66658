"""The demo command."""

from __future__ import annotations

import soundfile
from anchor_cli.app import app
from anchor_cli.client.demo import run_demo
from anchor_cli.settings import MeshSettings
from typer.testing import CliRunner


async def test_demo_prints_the_conversation_and_writes_the_reply(anchor, console, question_wav, tmp_path) -> None:
    async with anchor() as double:
        settings = MeshSettings(orchestrator_http_port=double.port)
        await run_demo(settings, console, question_wav, tmp_path / "reply.wav", "en")
    text = console.export_text()
    for words in ("… how", "you     how is the weather", "[double] Sunny all weekend.", "gpu.tight", "silence noticed"):
        assert words in text
    samples, rate_hz = soundfile.read(tmp_path / "reply.wav", dtype="int16")
    assert (len(samples), rate_hz) == (4800, 24_000)


def test_demo_without_mesh_exits_1(question_wav, free_port) -> None:
    result = CliRunner().invoke(app, ["demo", str(question_wav)], env={"ORCHESTRATOR_HTTP_PORT": str(free_port())})
    assert result.exit_code == 1
    assert "no anchor responds" in result.output
