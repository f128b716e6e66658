"""One turn with the anchor."""

from __future__ import annotations

import pytest
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from service_kit.errors import PeerFailed, root_cause


async def test_a_turn_is_told_whole(anchor, question) -> None:
    async with anchor() as double, open_session(double.url, language="en") as talk:
        turn = await run_turn(talk, question)
    assert turn.transcript == "how is the weather"
    assert turn.engine == "double"
    assert turn.reply.text == "Sunny all weekend."
    assert turn.reply.received_ms == 200
    assert turn.finished.heard_text == "Sunny"
    assert turn.waterfall is not None
    assert turn.waterfall.first_frame_sent_ms == 300
    assert not turn.waterfall.HasField("first_token_ms")
    # The double answers after three quiet frames, 60 ms.
    assert 30 <= turn.response_ms < 5000
    first = double.told[0]
    assert first["type"] == "session_start"
    assert (first["sample_rate_hz"], first["reports_playback"], first["language"]) == (16_000, True, "en")


async def test_a_reply_of_which_a_part_is_enough_is_interrupted(anchor, question) -> None:
    async with anchor(manner="hang", reply_ms=5000, waterfall=False) as double, open_session(double.url) as talk:
        turn = await run_turn(talk, question, listen_s=0.3)
    assert turn.finished.interrupted
    assert turn.reply.stopped
    assert 200 <= turn.reply.played_ms < 5000


async def test_two_clips_make_two_turns(anchor, question) -> None:
    async with anchor() as double, open_session(double.url) as talk:
        await run_turn(talk, question)
        second = await run_turn(talk, question)
    assert second.reply.turn_id == 2


@pytest.mark.parametrize(
    ("manner", "code", "words"),
    [("fail", "llm.gone", "nobody thinks"), ("mute", "turn.no_sound", "no audio")],
)
async def test_a_reply_that_fails_says_why(anchor, question, manner: str, code: str, words: str) -> None:
    async with anchor(manner=manner) as double:
        with pytest.raises(ExceptionGroup) as raised:
            async with open_session(double.url) as talk:
                await run_turn(talk, question)
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    assert cause.code == code
    assert words in cause.message


async def test_a_session_that_the_server_leaves_says_why(anchor, question) -> None:
    async with anchor(manner="leave") as double:
        with pytest.raises(ExceptionGroup) as raised:
            async with open_session(double.url) as talk:
                await run_turn(talk, question)
    assert "stt.gone" in str(root_cause(raised.value))


async def test_what_is_not_the_protocol_ends_the_talk(anchor, question) -> None:
    async with anchor(manner="babble") as double:
        with pytest.raises(ExceptionGroup) as raised:
            async with open_session(double.url) as talk:
                await run_turn(talk, question)
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    assert cause.code == "talk.not_understood"
