"""The clients in `examples/`, each as a process, against the real APIs."""

from __future__ import annotations

import asyncio
import os
import sys
import wave
from pathlib import Path

import pytest
from api_support import TONE, FakeSessions, serve_apis, tone
from grpc import aio
from orchestrator.api.access import AccessPolicy
from orchestrator.api.limits import ApiLimits
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming.grpc import SessionServicer, add_to
from pydantic import SecretStr

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SECRET = "s3cret"  # noqa: S105


@pytest.fixture
def question(tmp_path):
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(tone(1, 24_000).tobytes())
    return path


async def run(cwd: Path, *command: str, **environment: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, "SHARED_SECRET": SECRET, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


def reply_in(folder: Path) -> bytes:
    with wave.open(str(folder / "reply.wav")) as reader:
        assert reader.getframerate() == 24_000
        return reader.readframes(reader.getnframes())


async def test_websocket_example_prints_and_saves_the_answer(tmp_path, question):
    async with serve_apis(FakeSessions(), policy=AccessPolicy(secret=SecretStr(SECRET))) as host:
        talk = (sys.executable, str(EXAMPLES / "talk.py"), str(question))
        status, output = await run(tmp_path, *talk, ANCHOR_URL=f"ws://{host}/ws/audio")
    assert (status, reply_in(tmp_path)) == (0, TONE), output
    assert "1000 ms" in output
    assert "You said 1000 ms." in output


async def test_upload_example_prints_and_saves_the_answer(tmp_path, question):
    async with serve_apis(FakeSessions(), policy=AccessPolicy(secret=SecretStr(SECRET))) as host:
        ask = (sys.executable, str(EXAMPLES / "ask.py"), str(question))
        status, output = await run(tmp_path, *ask, ANCHOR_URL=f"http://{host}")
        assert (status, reply_in(tmp_path)) == (0, TONE), output
        refused, output = await run(tmp_path, *ask, ANCHOR_URL=f"http://{host}", SHARED_SECRET="wrong")  # noqa: S106
        assert (refused, "orchestrator.denied" in output) == (1, True)


async def test_shell_examples_save_the_answer(tmp_path, question):
    async with serve_apis(FakeSessions(), policy=AccessPolicy(secret=SecretStr(SECRET))) as host:
        for words in (str(question), "hello"):
            script = ("sh", str(EXAMPLES / "interact.sh"), words)
            status, output = await run(tmp_path, *script, ANCHOR_URL=f"http://{host}")
            assert (status, reply_in(tmp_path)) == (0, TONE), output
            assert "x-anchor-reply: You%20said" in output
        script = ("sh", str(EXAMPLES / "conversation.sh"))
        status, output = await run(tmp_path, *script, ANCHOR_URL=f"http://{host}")
        assert status == 0, output
        assert '"text":"You said Good evening."' in output


async def test_grpc_example_prints_and_saves_the_answer(tmp_path):
    server = aio.server()
    add_to(server, SessionServicer(FakeSessions(), ApiLimits(), SecretCheck(SecretStr(SECRET))))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        talk = (sys.executable, str(EXAMPLES / "talk_grpc.py"), "hello")
        status, output = await run(tmp_path, *talk, ANCHOR_TARGET=target)
    finally:
        await server.stop(0)
    assert (status, reply_in(tmp_path)) == (0, TONE), output
    assert "You said hello." in output
