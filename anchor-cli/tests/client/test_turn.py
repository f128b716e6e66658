"""One turn with the anchor."""

from __future__ import annotations

import pytest
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from service_kit.errors import PeerFailed, root_cause


async def test_turn_result_has_every_part(anchor, question) -> None:
    async with anchor() as double, open_session(double.url, language="en") as session:
        turn = await run_turn(session, question)
    assert turn.transcript == "how is the weather"
    assert turn.engine == "double"
    assert turn.reply.text == "Sunny all weekend."
    assert turn.reply.received_ms == 200
    assert turn.finished.heard_text == "Sunny"
    assert turn.waterfall is not None
    assert turn.waterfall.first_frame_sent_ms == 300
    assert turn.waterfall.speech_stopped_ms == 60, "the complete one, which follows the end of the reply"
    assert not turn.waterfall.HasField("first_token_ms")
    # The double answers after three silent frames, 60 ms.
    assert 30 <= turn.response_ms < 5000
    first = double.messages[0]
    assert first["type"] == "session_start"
    assert (first["sample_rate_hz"], first["reports_playback"], first["language"]) == (16_000, True, "en")


async def test_reply_is_interrupted_after_listen_s(anchor, question) -> None:
    async with anchor(behaviour="hang", reply_ms=5000, waterfall=False) as double, open_session(double.url) as session:
        turn = await run_turn(session, question, listen_s=0.3)
    assert turn.finished.interrupted
    assert turn.reply.stopped
    assert 200 <= turn.reply.played_ms < 5000


async def test_two_clips_make_two_turns(anchor, question) -> None:
    async with anchor() as double, open_session(double.url) as session:
        await run_turn(session, question)
        second = await run_turn(session, question)
    assert second.reply.turn_id == 2


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [("fail", "llm.gone", "no language model"), ("mute", "turn.no_sound", "no audio")],
)
async def test_failed_reply_states_the_reason(anchor, question, behaviour: str, code: str, words: str) -> None:
    async with anchor(behaviour=behaviour) as double:
        with pytest.raises(ExceptionGroup) as raised:
            async with open_session(double.url) as session:
                await run_turn(session, question)
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    assert cause.code == code
    assert words in cause.message


async def test_closed_session_states_the_reason(anchor, question) -> None:
    async with anchor(behaviour="leave") as double:
        with pytest.raises(ExceptionGroup) as raised:
            async with open_session(double.url) as session:
                await run_turn(session, question)
    assert "stt.gone" in str(root_cause(raised.value))


async def test_invalid_server_message_ends_the_session(anchor, question) -> None:
    async with anchor(behaviour="babble") as double:
        with pytest.raises(ExceptionGroup) as raised:
            async with open_session(double.url) as session:
                await run_turn(session, question)
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    assert cause.code == "talk.not_understood"
