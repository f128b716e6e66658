"""The outbox: sends over the current connection, and replays after a reconnect."""

from __future__ import annotations

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.messages.server import ReplyStarted, ReplyText, SpeechStarted, TurnCommitted


class Recorder:
    """A client that records what it receives."""

    def __init__(self) -> None:
        self.received: list[object] = []

    async def send(self, message: object) -> None:
        self.received.append(message)

    async def send_audio(self, pcm: bytes) -> None:
        self.received.append(pcm)


async def received(connection: Connection, recorder: Recorder) -> list[object]:
    """All items that were queued on a connection."""
    connection.close(None)
    await connection.run_sender()
    return recorder.received


async def test_messages_are_sent_in_order_after_the_greeting() -> None:
    outbox, recorder = Outbox(), Recorder()
    connection = Connection(recorder)
    outbox.connect(connection, [SpeechStarted(0)])
    outbox.send(TurnCommitted(1, "hello"))
    outbox.send(ReplyStarted(1, "scripted"))
    expected = [SpeechStarted(0), TurnCommitted(1, "hello"), ReplyStarted(1, "scripted")]
    assert await received(connection, recorder) == expected


async def test_messages_sent_while_disconnected_are_replayed() -> None:
    outbox, recorder = Outbox(), Recorder()
    outbox.send(TurnCommitted(1, "hello"))
    outbox.send_audio(b"\0\0")
    outbox.drop_audio()
    connection = Connection(recorder)
    outbox.connect(connection, [SpeechStarted(0)])
    assert await received(connection, recorder) == [SpeechStarted(0), TurnCommitted(1, "hello")]


async def test_a_reconnect_replays_messages_that_were_sent_before() -> None:
    outbox, first, second = Outbox(), Recorder(), Recorder()
    old = Connection(first)
    outbox.connect(old, [])
    outbox.send(ReplyText(1, "Once"))
    outbox.disconnect()
    assert outbox.connection is None
    outbox.send(ReplyText(1, " upon"))
    new = Connection(second)
    outbox.connect(new, [])
    assert outbox.connection is new
    assert await received(old, first) == [ReplyText(1, "Once")]
    assert await received(new, second) == [ReplyText(1, "Once upon")]


async def test_dropped_audio_is_not_sent_and_messages_are() -> None:
    outbox, recorder = Outbox(), Recorder()
    connection = Connection(recorder)
    outbox.connect(connection, [])
    outbox.send_audio(b"\1\0")
    outbox.send(TurnCommitted(1, "hello"))
    outbox.drop_audio()
    assert await received(connection, recorder) == [TurnCommitted(1, "hello")]
