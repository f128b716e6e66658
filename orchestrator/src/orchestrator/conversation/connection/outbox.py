"""The outbox of a session: sends messages and audio, in order, over the client's current connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.connection.replay_buffer import ReplayBuffer
from orchestrator.conversation.messages.server import ServerMessage


class Outbox:
    """Sends over the current connection and records messages for replay; without a connection nothing is queued."""

    def __init__(self, on_message: Callable[[ServerMessage], None] = lambda message: None) -> None:
        """`on_message` is called with every message, whether or not a client is connected."""
        self._on_message = on_message
        self._replay_buffer = ReplayBuffer()
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection | None:
        """The current connection; None while the client is disconnected."""
        return self._connection

    def connect(self, connection: Connection, greeting: Iterable[ServerMessage]) -> None:
        """Send over `connection` from now on: first `greeting`, then the replay of recorded messages."""
        self._connection = connection
        connection.greet((*greeting, *self._replay_buffer.messages()))

    def disconnect(self) -> None:
        """The client disconnected; record messages without sending them."""
        self._connection = None

    def send(self, message: ServerMessage) -> None:
        """Record and send a message. Raises `AtCapacity` when the client does not read."""
        self._replay_buffer.record(message)
        self._on_message(message)
        if self._connection is not None:
            self._connection.send(message)

    def send_audio(self, pcm: bytes) -> None:
        """Send speech, PCM16 mono 24 kHz. Raises `AtCapacity` when the client does not read."""
        if self._connection is not None:
            self._connection.send_audio(pcm)

    def drop_audio(self) -> None:
        """Discard queued audio."""
        if self._connection is not None:
            self._connection.drop_audio()
