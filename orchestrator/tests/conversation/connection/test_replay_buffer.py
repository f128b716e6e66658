"""The replay buffer: compacted messages for a client that reconnects."""

from __future__ import annotations

import pytest
from orchestrator.conversation.connection.replay_buffer import ReplayBuffer
from orchestrator.conversation.messages.server import (
    Choices,
    FinalTranscript,
    PartialTranscript,
    PlaybackStop,
    ReplyFinished,
    ReplySource,
    ReplySources,
    ReplyStarted,
    ReplyText,
    ServiceNotice,
    SpeechMark,
    SpeechStarted,
    SpeechStopped,
    TurnCommitted,
)

PARTIAL = PartialTranscript(1, "how is")
FINAL = FinalTranscript(1, 1, "how is it", "en")
REVISED = FinalTranscript(1, 2, "how is it now", "en")
COMMITTED = TurnCommitted(1, "how is it")
STARTED = ReplyStarted(1, "scripted")
MARKS = [SpeechMark(1, 0, 3, 0), SpeechMark(1, 4, 9, 300)]
FINISHED = ReplyFinished(1, "Fine today", 900, interrupted=False, estimated=False)

SOURCES = ReplySources(1, (ReplySource("the weather", "weather.md", "Fine today.", "en"),))

LOST = ServiceNotice("stt.unavailable", active=True, message="gone")
RECOVERED = ServiceNotice("stt.unavailable", active=False, message="stt works again")
DOWN = ServiceNotice("vad.unavailable", active=True, message="gone")

TABLE = {
    "an active notice is replayed": ([LOST, DOWN], [LOST, DOWN]),
    "a notice that ended is not replayed": ([LOST, DOWN, RECOVERED], [DOWN]),
    "a notice that returned is replayed once": ([LOST, RECOVERED, LOST], [LOST]),
    "nothing recorded replays nothing": ([], []),
    "the latest speech event comes first": (
        [SpeechStarted(100), COMMITTED, SpeechStopped(900)],
        [SpeechStopped(900), COMMITTED],
    ),
    "the latest partial is kept": ([PartialTranscript(1, "how"), PARTIAL], [PARTIAL]),
    "a final replaces the partial": ([PARTIAL, FINAL], [FINAL]),
    "a revision replaces the final": ([FINAL, REVISED], [REVISED]),
    "the reply text is joined": (
        [STARTED, ReplyText(1, "Fine"), ReplyText(1, " today")],
        [STARTED, ReplyText(1, "Fine today")],
    ),
    "every speech mark is kept": ([STARTED, *MARKS], [STARTED, *MARKS]),
    "messages keep the order of their first occurrence": (
        [FINAL, COMMITTED, STARTED, ReplyText(1, "Fine"), MARKS[0], ReplyText(1, " today"), MARKS[1], FINISHED],
        [FINAL, COMMITTED, STARTED, ReplyText(1, "Fine today"), *MARKS, FINISHED],
    ),
    "a new reply replaces the previous reply of its turn": (
        [COMMITTED, STARTED, ReplyText(1, "Too early"), MARKS[0], PlaybackStop(1), STARTED, ReplyText(1, "Fine")],
        [COMMITTED, STARTED, ReplyText(1, "Fine")],
    ),
    "the sources of the reply are kept": (
        [STARTED, SOURCES, ReplyText(1, "Fine")],
        [STARTED, SOURCES, ReplyText(1, "Fine")],
    ),
    "a new reply discards the sources of the previous one": (
        [STARTED, SOURCES, STARTED, ReplyText(1, "Hello")],
        [STARTED, ReplyText(1, "Hello")],
    ),
    "only the last three turns are kept": (
        [TurnCommitted(turn_id, "hello") for turn_id in (1, 2, 3, 4)],
        [TurnCommitted(turn_id, "hello") for turn_id in (2, 3, 4)],
    ),
    "momentary messages are not kept": ([Choices((), (), ())], []),
}


@pytest.mark.parametrize(("recorded", "replayed"), TABLE.values(), ids=TABLE)
def test_replayed_messages(recorded, replayed):
    buffer = ReplayBuffer()
    for message in recorded:
        buffer.record(message)
    assert list(buffer.messages()) == replayed
