"""The orchestrator is killed again and again in one conversation: same ticket, same conversation, nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import SessionClient, open_session
from mesh_launcher import PROJECT, RunningMesh, launch_scripted_mesh
from orchestrator.conversation.model.history import heard_text
from orchestrator.conversation.model.ports import SpeechMark
from service_kit.audio import MICROPHONE
from service_kit.errors import AnchorError, root_cause
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.e2e

# Ten at the acceptance; each takes the seconds that an orchestrator takes to start.
KILLS = int(os.environ.get("ANCHOR_TEST_KILLS", "3"))
BACK_WITHIN_S = 30.0
QUESTION = PROJECT / "content/questions/demo.wav"
ANSWER = "Once upon a time there was a king who had three daughters and a garden with a well in it."
SCRIPT = f"""
[stt]
transcripts = ["how is the weather"]
[llm]
replies = ["{ANSWER}"]
[tts]
ms_per_character = 50
"""


@pytest.fixture(scope="module")
def stored_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A mesh that stores its conversations."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "script.toml").write_text(SCRIPT, "utf-8")
    with launch_scripted_mesh(
        folder / "script.toml", ORCHESTRATOR_STORE=f"sqlite:///{folder}/conversations.db"
    ) as mesh:
        yield mesh


@dataclass
class Caller:
    """Who talks in one conversation, over many connections. `played` is the last position reported."""

    mesh: RunningMesh
    ticket: str = ""
    played: tuple[int, int] | None = None

    @asynccontextmanager
    async def connected(self, *, microphone: bool = False) -> AsyncGenerator[SessionClient]:
        """A session on the conversation, as soon as the orchestrator serves."""
        deadline_s = asyncio.get_running_loop().time() + BACK_WITHIN_S
        opened = False
        while not opened:
            try:
                session = open_session(self.mesh.url, microphone=microphone, ticket=self.ticket, played=self.played)
                async with session as talk:
                    opened = True
                    self.ticket = talk.events[0].message.ticket
                    yield talk
            except* (AnchorError, OSError) as errors:
                if opened or asyncio.get_running_loop().time() > deadline_s:
                    raise root_cause(errors) from errors
            await asyncio.sleep(0 if opened else 0.2)

    async def messages(self) -> list[dict[str, object]]:
        """The conversation as the server has it."""
        async with httpx.AsyncClient(base_url=self.mesh.settings.address) as http:
            return (await http.get(f"/conversation/{self.ticket}")).raise_for_status().json()["messages"]


def kill(mesh: RunningMesh) -> None:
    os.kill(mesh.process_of("orchestrator"), signal.SIGKILL)


def words_played(talk: SessionClient, turn_id: int, played_ms: int) -> str:
    """The words of a reply that the client had played, by its marks."""
    marks = [
        SpeechMark(event.message.text_start, event.message.text_end, event.message.offset_ms)
        for event in talk.events
        if event.name == "speech_mark" and event.message.turn_id == turn_id
    ]
    return heard_text(talk.speaker.reply(turn_id).text, marks, played_ms, None)


async def types_until_closed(socket: ClientConnection) -> list[str]:
    """The types of the messages until the server closes the connection, whatever the code."""
    types: list[str] = []
    try:
        async with asyncio.timeout(5):
            while True:
                types.append(json.loads(await socket.recv())["type"])
    except ConnectionClosed:
        return types


async def test_ten_kills_lose_no_transcript_and_no_heard_word(stored_mesh) -> None:
    caller = Caller(stored_mesh)
    expected: list[tuple[str, str]] = []
    for number in range(KILLS):
        question = f"question {number}"
        async with caller.connected() as talk:
            assert talk.events[0].message.resumed is (number > 0)
            await talk.send_message("text_input", text=question)
            audio = await talk.wait_for("reply_audio", within_s=20)
            turn_id = audio.message.turn_id
            await asyncio.sleep(0.5 + 0.3 * number)
            caller.played = talk.speaker.progress(asyncio.get_running_loop().time())
            # The last report leaves before the kill; whether it was stored is left to chance.
            await talk.send_message("playback_progress", turn_id=turn_id, played_ms=caller.played[1])
            await asyncio.sleep(0.02)
            kill(stored_mesh)
            words = words_played(talk, turn_id, caller.played[1])
            assert words
            expected.append((question, words))
    async with caller.connected() as talk:
        assert talk.events[0].message.resumed
        await talk.wait_until(
            lambda events: next((e for e in events if e.name == "error" and e.message.code == "session.cut_off"), None),
            10,
            "session.cut_off",
        )
        messages = await caller.messages()
    assert [message["text"] for message in messages if message["role"] == "user"] == [asked for asked, _ in expected]
    heard = [str(message["text"]) for message in messages if message["role"] == "anchor"]
    assert len(heard) == KILLS
    for (_, words), text in zip(expected, heard, strict=True):
        assert text.startswith(words)
        assert ANSWER.startswith(text)


async def test_question_and_utterance_that_a_kill_cut_off_are_taken_up_again(stored_mesh) -> None:
    caller = Caller(stored_mesh)
    async with caller.connected(microphone=True) as talk:
        speaking = asyncio.create_task(talk.play_clip(load_clip(QUESTION)[: MICROPHONE.bytes_for(2_000)] * 3))
        await talk.wait_for("partial_transcript", within_s=20)
        await asyncio.sleep(0.5)
        kill(stored_mesh)
        with pytest.raises(AnchorError):
            await speaking
    async with caller.connected() as talk:
        finished = await talk.wait_for("reply_finished", within_s=20)
        assert "catch" in finished.message.heard_text
        await talk.send_message("text_input", text="tell me a story")
        while (await talk.wait_for("turn_saved", within_s=20)).message.turn_id == finished.message.turn_id:
            # The reply before it, whose end is saved a little later than it is told.
            pass
        kill(stored_mesh)
    async with caller.connected() as talk:
        finished = await talk.wait_for("reply_finished", within_s=30)
        assert finished.message.heard_text == ANSWER
        assert [(m["role"], m["text"]) for m in await caller.messages()][-2:] == [
            ("user", "tell me a story"),
            ("anchor", ANSWER),
        ]


async def test_upgrade_in_mid_reply_keeps_what_was_heard(stored_mesh) -> None:
    caller = Caller(stored_mesh)
    async with caller.connected() as talk:
        await talk.send_message("text_input", text="tell me a story")
        await talk.wait_for("reply_audio", within_s=20)
        await asyncio.sleep(1.2)
        os.kill(stored_mesh.process_of("orchestrator"), signal.SIGTERM)
    async with caller.connected() as talk:
        (asked, heard) = await caller.messages()
        assert asked["text"] == "tell me a story"
        assert ANSWER.startswith(heard["text"])
        assert len(str(heard["text"])) > 5


async def test_sigterm_lets_the_reply_end_and_moves_the_client(stored_mesh) -> None:
    caller = Caller(stored_mesh)
    async with caller.connected() as talk, httpx.AsyncClient(base_url=stored_mesh.settings.address) as http:
        await talk.send_message("text_input", text="tell me a story")
        await talk.wait_for("reply_audio", within_s=20)
        await asyncio.sleep(0.5)
        os.kill(stored_mesh.process_of("orchestrator"), signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert (await http.get("/ready")).status_code == 503
        refused = await http.post("/conversation/start", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "session.moving")
        assert refused.headers["retry-after"]
        async with connect(stored_mesh.url) as late:
            await late.send(json.dumps({"type": "session_start"}))
            assert await types_until_closed(late) == ["error", "session_ended"]
            assert (late.close_code, late.close_reason) == (1012, "session.moving")
        finished = await talk.wait_for("reply_finished", within_s=20)
        assert (finished.message.heard_text, finished.message.interrupted) == (ANSWER, False)
        ended = await talk.wait_for("session_ended", within_s=5)
        assert ended.message.code == "session.moving"
        await asyncio.wait_for(talk._socket.wait_closed(), 5)
        assert (talk._socket.close_code, talk._socket.close_reason) == (1012, "session.moving")
    async with caller.connected() as talk:
        assert talk.events[0].message.resumed
        assert [message["text"] for message in await caller.messages()] == ["tell me a story", ANSWER]
        assert not [event for event in talk.events if event.name == "error"]
