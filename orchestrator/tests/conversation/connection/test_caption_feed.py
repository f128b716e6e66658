"""The captions for watchers: the newest state of the last turns."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.conversation.connection.caption_feed import MAX_WATCHERS, CaptionFeed, CaptionWatcher, TurnCaption
from orchestrator.conversation.messages.server import (
    BargeInSettled,
    BargeInVerdict,
    FinalTranscript,
    PartialTranscript,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    SpeechMark,
    TurnCommitted,
    TurnFailed,
    TurnSpoken,
)
from orchestrator.conversation.session.watch_keys import is_watch_key, watch_key
from service_kit.errors import AtCapacity

SPOKEN = TurnSpoken(1, None, None, None, None, "anchor", "Nora", "", "en")
ASKED = TurnCaption(1, user_text="how is it", user_final=True)
ANSWERED = TurnCaption(1, "how is it", user_final=True, speaker="Nora", reply_text="Fine today", reply_language="en")
ANSWER: list[ServerMessage] = [
    PartialTranscript(1, "how"),
    TurnCommitted(1, "how is it"),
    ReplyStarted(1, "briefing"),
    ReplyText(1, "Fine"),
    ReplyText(1, " today"),
    SPOKEN,
    SpeechMark(1, 0, 4, 0),
    SpeechMark(1, 5, 10, 300),
]


def follow(*messages: ServerMessage) -> CaptionFeed:
    feed = CaptionFeed()
    for message in messages:
        feed.record(message)
    return feed


async def waiting(watcher: CaptionWatcher) -> list[TurnCaption]:
    """All that waits for a watcher now."""
    found: list[TurnCaption] = []
    while watcher._waiting:
        caption = await watcher.next()
        assert caption is not None
        found.append(caption)
    return found


async def test_the_words_that_sound_move_on_with_the_playback():
    feed = follow(*ANSWER)
    with feed.watch() as watcher:
        assert await waiting(watcher) == [ANSWERED]
        spoken: list[int] = []
        for heard_ms in (0, 1, 299, 300, 700):
            feed.on_heard(1, heard_ms)
            spoken += [caption.spoken_chars for caption in await waiting(watcher)]
        assert spoken == [4, 10]
        feed.record(ReplyFinished(1, "Fine", 250, interrupted=True, estimated=False))
        (last,) = await waiting(watcher)
        assert (last.spoken_chars, last.over) == (4, True)


async def test_a_reply_without_marks_sounds_as_a_whole():
    feed = follow(*ANSWER[:6])
    with feed.watch() as watcher:
        feed.on_heard(1, 20)
        (caption,) = await waiting(watcher)
        assert caption.spoken_chars == len("Fine today")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (FinalTranscript(2, 1, "and now", "en"), [TurnCaption(2, "and now", "en")]),
        (ReplyStarted(1, "other"), [TurnCaption(1, "how is it", user_final=True, speaker="Nora", reply_language="en")]),
        (
            BargeInSettled(2, 1, BargeInVerdict.BARGE_IN_VERDICT_BACKCHANNEL),
            [TurnCaption(2, over=True, removed=True)],
        ),
        (BargeInSettled(2, 1, BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS), []),
        (
            BargeInSettled(2, 1, BargeInVerdict.BARGE_IN_VERDICT_CONTINUATION),
            [
                TurnCaption(1, "how is it", speaker="Nora", reply_language="en"),
                TurnCaption(2, over=True, removed=True),
            ],
        ),
        (
            TurnCommitted(3, "how was it", 1),
            [TurnCaption(1, over=True, removed=True), TurnCaption(3, "how was it", user_final=True)],
        ),
    ],
)
async def test_what_changes_is_offered(message: ServerMessage, expected: list[TurnCaption]):
    feed = follow(*ANSWER, PartialTranscript(2, "and"))
    with feed.watch() as watcher:
        await waiting(watcher)
        feed.record(message)
        assert await waiting(watcher) == expected


async def test_a_slow_watcher_skips_states_and_gets_the_newest():
    feed = CaptionFeed()
    with feed.watch() as slow, feed.watch() as quick:
        seen: list[str] = []
        for number in range(2000):
            feed.record(PartialTranscript(number // 100 + 1, f"word {number}"))
            seen += [caption.user_text for caption in await waiting(quick)]
        assert seen == [f"word {number}" for number in range(2000)]
        assert [caption.user_text for caption in await waiting(slow)] == ["word 1799", "word 1899", "word 1999"]


async def test_memory_is_bounded_by_the_last_turns():
    feed = CaptionFeed()
    for turn_id in range(1, 500):
        for message in ANSWER:
            if isinstance(message, SpeechMark):
                feed.record(SpeechMark(turn_id, message.text_start, message.text_end, message.offset_ms))
        feed.record(TurnCommitted(turn_id, "hello"))
        feed.record(ReplyStarted(turn_id, "briefing"))
        feed.record(SpeechMark(turn_id, 0, 4, 0))
    assert set(feed._captions) == {497, 498, 499}
    assert len(feed._marks) <= 4
    # What comes late for an old turn is not shown again.
    feed.record(TurnFailed(3, "llm.gone", "gone"))
    assert set(feed._captions) == {497, 498, 499}


async def test_watchers_are_bounded_and_make_room_when_they_leave():
    feed = CaptionFeed()
    opened = [feed.watch() for _ in range(MAX_WATCHERS)]
    for each in opened:
        each.__enter__()
    with pytest.raises(AtCapacity) as refused, feed.watch():
        pass
    assert refused.value.code == "watch.at_capacity"
    opened[0].__exit__(None, None, None)
    with feed.watch():
        pass


async def test_a_watcher_reads_what_waits_and_ends_with_the_session():
    feed = CaptionFeed()
    with feed.watch() as watcher:
        reading = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
        feed.record(TurnCommitted(1, "how is it"))
        assert await reading == ASKED
        feed.record(ReplyStarted(1, "briefing"))
        feed.close()
        assert await watcher.next() is None
    with feed.watch() as late:
        assert [await late.next(), await late.next()] == [ASKED, None]


def test_a_watch_key_belongs_to_one_ticket_and_does_not_show_it():
    key = watch_key("ticket-1")
    assert key == watch_key("ticket-1")
    assert key.startswith("watch_")
    assert len(key) == len("watch_") + 43
    assert is_watch_key(key, "ticket-1")
    for other in (watch_key("ticket-2"), key[:-1], key + "=", "", "ticket-1", "watch_\ud800"):
        assert not is_watch_key(other, "ticket-1")
