"""What goes to the client: messages and audio in one order, over the line that there is, if there is one."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.conversation.connection.connection import Line
from orchestrator.conversation.connection.replay_buffer import Told
from orchestrator.conversation.messages.server import ServerMessage


class Outbox:
    """Hands on what is sent, and remembers the gist. Without a line nothing is queued: who comes back is told anew."""

    def __init__(self) -> None:
        self._told = Told()
        self._line: Line | None = None

    @property
    def line(self) -> Line | None:
        """The way to the client; None while there is none."""
        return self._line

    def connect(self, line: Line, greeting: Iterable[ServerMessage]) -> None:
        """Send over `line` from now on: first `greeting`, then what was told already."""
        self._line = line
        line.greet((*greeting, *self._told.again()))

    def disconnect(self) -> None:
        """Nobody is there for now."""
        self._line = None

    def send(self, message: ServerMessage) -> None:
        """Send a message. Raises `AtCapacity` when the client does not read."""
        self._told.note(message)
        if self._line is not None:
            self._line.send(message)

    def send_audio(self, pcm: bytes) -> None:
        """Send speech. Raises `AtCapacity` when the client does not read."""
        if self._line is not None:
            self._line.send_audio(pcm)

    def drop_audio(self) -> None:
        """Forget audio that has not left yet."""
        if self._line is not None:
            self._line.drop_audio()
