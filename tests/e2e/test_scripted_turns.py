"""Scripted engines over a real WebSocket: a turn is played exactly, and one is reopened before its reply is heard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anchor.session.v1 import session_pb2
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from mesh_launcher import RunningMesh, launch_scripted_mesh
from service_kit.audio import MICROPHONE

pytestmark = pytest.mark.e2e

TRIES = 3
MS_PER_CHARACTER = 50
CONTINUATION = session_pb2.BARGE_IN_VERDICT_CONTINUATION
FIRST, SECOND, ANSWER = "how is the weather", "and tomorrow in the north", "It will rain."
SCRIPT = f"""
[stt]
transcripts = ["{FIRST}", "{SECOND}"]
[llm]
replies = ["{ANSWER}"]
[tts]
ms_per_character = {MS_PER_CHARACTER}
"""


@pytest.fixture(scope="module")
def weather_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """One mesh; every session begins the script anew."""
    script = tmp_path_factory.mktemp("script") / "weather.toml"
    script.write_text(SCRIPT, "utf-8")
    with launch_scripted_mesh(script) as mesh:
        yield mesh


async def test_a_scripted_turn_is_played_exactly(weather_mesh, questions) -> None:
    async with open_session(weather_mesh.url) as talk:
        turn = await run_turn(talk, load_clip(questions[0].path))
    assert turn.transcript == FIRST
    assert turn.reply.text == ANSWER
    assert turn.engine == "scripted"
    assert turn.reply.received_ms == pytest.approx(MS_PER_CHARACTER * len(ANSWER), abs=100)
    assert turn.finished.heard_text == ANSWER


async def test_speech_before_anything_was_heard_reopens_the_turn_every_time(weather_mesh, questions) -> None:
    question = load_clip(questions[0].path)[: MICROPHONE.bytes_for(1_200)]
    for number in range(TRIES):
        async with open_session(weather_mesh.url) as talk:
            # A slow loudspeaker: on a loaded machine too, nothing has played when the pause arrives. The client reports
            # what it has played.
            talk.speaker.output_delay_s = 1.5
            await talk.play_clip(question)
            sent = await talk.wait_for("reply_audio", within_s=15)
            withdrawn = talk.speaker.reply(sent.message.turn_id)
            await talk.play_clip(question)
            finished = await talk.wait_for("reply_finished", within_s=30)
        settled = [event.message for event in talk.events if event.name == "barge_in_settled"]
        committed = [event.message for event in talk.events if event.name == "turn_committed"]
        revisions = [e.message.revision for e in talk.events if e.name == "final_transcript" and e.message.turn_id == 1]
        assert [message.verdict for message in settled] == [CONTINUATION], f"try {number}"
        assert [(message.turn_id, message.text) for message in committed] == [(1, FIRST), (1, f"{FIRST} {SECOND}")]
        assert revisions == sorted(set(revisions))
        assert len(revisions) >= 2
        assert (withdrawn.stopped, withdrawn.played_ms) == (True, 0)
        assert withdrawn.received_ms > 0
        message = finished.message
        assert (message.turn_id, message.heard_text) == (1, ANSWER)
        assert (message.interrupted, message.estimated) == (False, False)
        assert message.heard_ms == pytest.approx(talk.speaker.reply(1).received_ms, abs=200)
        assert [event.name for event in talk.events].count("playback_stop") == 1
