"""One place, taken: every API tells the next caller at once, and who waits is admitted when the place is free."""

from __future__ import annotations

import asyncio
import time

import grpc
import httpx
import pytest
from anchor.session.v1 import session_pb2, session_pb2_grpc
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from service_kit.errors import ERROR_CODE_KEY, RETRY_AFTER_KEY
from service_kit.rpc.channel import open_channel

pytestmark = pytest.mark.e2e

CODE = "admission.at_capacity"
# A reply of some 20 s, which holds the place.
SCRIPT = f"""
[stt]
transcripts = ["tell me a story"]
[llm]
replies = ["{"Once upon a time there was a king. " * 12}"]
[tts]
ms_per_character = 50
"""


async def converse(target: str, text: str) -> grpc.aio.AioRpcError:
    """Ask a question over gRPC, which is refused; return the refusal."""
    channel = open_channel(target)
    try:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse()
        for message in (
            session_pb2.ClientMessage(session_start=session_pb2.SessionStart()),
            session_pb2.ClientMessage(text_input=session_pb2.TextInput(text=text)),
        ):
            await call.write(session_pb2.ConverseRequest(message=message))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in call:
                pass
        return refused.value
    finally:
        await channel.close()


async def test_every_api_tells_the_next_caller_at_once(scripted_mesh, questions) -> None:
    mesh = scripted_mesh(SCRIPT, ORCHESTRATOR_MAX_SPEAKERS="1", ORCHESTRATOR_STORE="off")
    base = f"http://127.0.0.1:{mesh.settings.orchestrator_http_port}"
    clip = load_clip(questions[0].path)
    async with (
        asyncio.timeout(90),
        httpx.AsyncClient(base_url=base, timeout=20) as http,
        open_session(mesh.url) as first,
    ):
        await first.play_clip(clip)
        await first.wait_for("reply_audio", within_s=15)
        speakers = (await http.get("/info")).json()["speakers"]
        assert (speakers["places"], speakers["limited_by"], speakers["held"]) == (1, "setting", 1)

        recording = {"file": questions[0].path.read_bytes()}
        for sent in ({"json": {"text": "hello"}}, {"files": recording}):
            begun_s = time.monotonic()
            answer = await http.post("/interact", **sent)
            assert time.monotonic() - begun_s < 1
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, CODE)
            assert int(answer.headers["retry-after"]) >= 1
        transcription = await http.post("/v1/audio/transcriptions", files=recording, data={"model": "any"})
        assert (transcription.status_code, transcription.json()["error"]["code"]) == (503, CODE)

        refused = await converse(f"127.0.0.1:{mesh.settings.orchestrator_grpc_port}", "hello")
        trailing = dict(refused.trailing_metadata() or ())
        assert (refused.code(), trailing[ERROR_CODE_KEY]) == (grpc.StatusCode.RESOURCE_EXHAUSTED, CODE)
        assert int(trailing[RETRY_AFTER_KEY]) >= 1

        async with open_session(mesh.url, waits=True) as second:
            begun_s = asyncio.get_running_loop().time()
            await second.send_message("text_input", text="hello")
            waiting = await second.wait_for("admission", within_s=1)
            assert (waiting.message.state, waiting.message.position) == (session_pb2.ADMISSION_STATE_WAITING, 1)
            assert waiting.message.expected_wait_s >= 1
            assert waiting.at_s - begun_s < 1
            # The call that is in goes on.
            assert not any(event.name in ("playback_pause", "turn_failed", "error") for event in first.events)
            await first.send_message("interrupt")
            await first.wait_for("reply_finished", within_s=5)
            # Its place is kept for a pause in the conversation.
            admitted = await second.wait_for("admission", within_s=20)
            assert admitted.message.state == session_pb2.ADMISSION_STATE_ADMITTED
            await second.play_clip(clip)
            committed = await second.wait_for("turn_committed", within_s=15)
            assert committed.message.text == "tell me a story"
            await second.wait_for("reply_audio", within_s=15)
