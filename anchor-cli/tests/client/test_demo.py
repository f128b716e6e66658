"""The demo command."""

from __future__ import annotations

import pytest
import soundfile
from anchor_cli.app import app
from anchor_cli.client.demo import run_demo
from anchor_cli.settings import MeshSettings
from pydantic import SecretStr
from service_kit.errors import Denied
from typer.testing import CliRunner

SECRET = "correct b\u00fccher"  # noqa: S105


async def test_demo_prints_the_conversation_and_writes_the_reply(anchor, console, question_wav, tmp_path) -> None:
    async with anchor() as double:
        settings = MeshSettings(orchestrator_http_port=double.port)
        await run_demo(settings, console, question_wav, tmp_path / "reply.wav", "en")
    text = console.export_text()
    for words in ("… how", "you     how is the weather", "[double] Sunny all weekend.", "gpu.tight", "silence noticed"):
        assert words in text
    samples, rate_hz = soundfile.read(tmp_path / "reply.wav", dtype="int16")
    assert (len(samples), rate_hz) == (4800, 24_000)


async def test_demo_sends_the_shared_secret(anchor, console, question_wav, tmp_path) -> None:
    async with anchor(secret=SECRET) as double:
        settings = MeshSettings(orchestrator_http_port=double.port, shared_secret=SecretStr(double.secret))
        await run_demo(settings, console, question_wav, tmp_path / "reply.wav", "en")
    assert "Sunny all weekend." in console.export_text()


async def test_demo_with_another_secret_names_the_setting(anchor, console, question_wav, tmp_path) -> None:
    async with anchor(secret=SECRET) as double:
        settings = MeshSettings(orchestrator_http_port=double.port, shared_secret=SecretStr("hush"))
        with pytest.raises(Denied, match="set SHARED_SECRET") as refused:
            await run_demo(settings, console, question_wav, tmp_path / "reply.wav", "en")
    assert "hush" not in str(refused.value)


def test_demo_without_mesh_exits_1(question_wav, free_port) -> None:
    result = CliRunner().invoke(app, ["demo", str(question_wav)], env={"ORCHESTRATOR_HTTP_PORT": str(free_port())})
    assert result.exit_code == 1
    assert "no anchor responds" in result.output
