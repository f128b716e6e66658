"""The client of a one-shot session: what it makes of the messages of a reply."""

from __future__ import annotations

import pytest
from api_support import TONE, FakeSessions
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming import one_shot
from orchestrator.conversation.messages.client import EndTurn
from orchestrator.conversation.messages.server import (
    FinalTranscript,
    PlaybackStop,
    ReplyAudio,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    ServiceNotice,
    SessionStarted,
    TurnCommitted,
)
from service_kit.errors import AtCapacity, PeerFailed, Stopping


async def test_a_question_without_a_slot_to_hear_it_is_refused():
    client = one_shot._OneShotClient(bytes(6_400), ApiLimits())
    await client.send(SessionStarted("s", "t", "en", "", "anchor", 16_000, 24_000, False, 1.0))
    await client.send(ServiceNotice("stt.at_capacity", active=True, message="4 people are speaking"))
    assert [item async for item in client.source()][-1:]
    with pytest.raises(AtCapacity) as refused:
        client.answer()
    assert (refused.value.code, refused.value.http_status) == ("stt.at_capacity", 503)


async def test_apology_for_a_missing_transcript_is_no_answer():
    client = one_shot._OneShotClient(bytes(6_400), ApiLimits())
    await client.send(SessionStarted("s", "t", "en", "", "anchor", 16_000, 24_000, False, 1.0))
    source = client.source()
    assert [await anext(source) for _ in range(3)][-1] == EndTurn()
    await client.send(ReplyStarted(1, "phrase"))
    assert [item async for item in source] == []
    with pytest.raises(PeerFailed) as refused:
        client.answer()
    assert (refused.value.code, refused.value.http_status, refused.value.retryable) == ("stt.late", 503, True)


async def test_recording_without_words_is_answered_by_a_phrase():
    client = one_shot._OneShotClient(bytes(6_400), ApiLimits())
    await client.send(SessionStarted("s", "t", "en", "", "anchor", 16_000, 24_000, False, 1.0))
    source = client.source()
    assert [await anext(source) for _ in range(3)][-1] == EndTurn()
    for message in (
        FinalTranscript(1, 1, ""),
        ReplyStarted(1, "phrase"),
        ReplyText(1, "Sorry, I did not catch that."),
        ReplyFinished(1, "Sorry, I did not catch that.", 50, interrupted=False, estimated=False),
    ):
        await client.send(message)
    assert client.answer().reply == "Sorry, I did not catch that."
    await source.aclose()


async def test_a_reply_that_starts_over_leaves_nothing_of_the_first():
    client = one_shot._OneShotClient("rain?", ApiLimits())
    source = client.source()
    await anext(source)
    await client.send(SessionStarted("s", "t", "en", "", "anchor", 16_000, 24_000, False, 1.0))
    await client.send(TurnCommitted(1, "rain?"))
    for message in (ReplyStarted(1, "openai"), ReplyText(1, "Let me see."), ReplyAudio(1, 0)):
        await client.send(message)
    await client.send_audio(bytes(4_800))
    await client.send(PlaybackStop(1))
    for message in (ReplyStarted(1, "briefing"), ReplyText(1, "It will rain."), ReplyAudio(1, 0)):
        await client.send(message)
    await client.send_audio(b"\1\0" * 1_200)
    await client.send(ReplyFinished(1, "It will rain.", 50, interrupted=False, estimated=False))
    answer = client.answer()
    assert (answer.reply, answer.engine, answer.pcm) == ("It will rain.", "briefing", b"\1\0" * 1_200)
    await source.aclose()


async def test_reply_that_ends_with_its_server_is_returned():
    sessions, start = FakeSessions(), one_shot.one_shot_session_start()
    answer = await one_shot.ask_question(sessions, start, "move after this", ApiLimits())
    assert (answer.pcm, answer.interrupted) == (TONE, False)


async def test_question_that_a_stopping_server_cuts_off_may_be_asked_again():
    with pytest.raises(Stopping) as cut_off:
        await one_shot.ask_question(FakeSessions(), one_shot.one_shot_session_start(), "move", ApiLimits())
    assert (cut_off.value.http_status, cut_off.value.retryable) == (503, True)
