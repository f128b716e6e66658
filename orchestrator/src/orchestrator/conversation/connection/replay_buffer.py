"""What the client was told of the latest turns, in short: what one that comes back is told again."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.conversation.messages.server import (
    BargeInSettled,
    FinalTranscript,
    LatencyWaterfall,
    PartialTranscript,
    PlaybackStop,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    SpeechMark,
    SpeechStarted,
    SpeechStopped,
    TurnCommitted,
    TurnFailed,
)

# The one being answered, the one being spoken, and one whose end may have been lost with the connection.
_TURNS = 3

_OfTurn = (
    PartialTranscript
    | FinalTranscript
    | TurnCommitted
    | BargeInSettled
    | ReplyStarted
    | ReplyText
    | SpeechMark
    | PlaybackStop
    | ReplyFinished
    | TurnFailed
    | LatencyWaterfall
)
_OF_REPLY = (ReplyStarted, ReplyText, SpeechMark, PlaybackStop, ReplyFinished, TurnFailed, LatencyWaterfall)


class ReplayBuffer:
    """Keeps the last turns, each bounded by the length of a reply. What passes with the moment is not kept."""

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}
        self._edge: SpeechStarted | SpeechStopped | None = None

    def record(self, message: ServerMessage) -> None:
        """The client is told `message`."""
        if isinstance(message, SpeechStarted | SpeechStopped):
            self._edge = message
        elif isinstance(message, _OfTurn):
            self._turn(message.turn_id).record(message)

    def messages(self) -> Iterator[ServerMessage]:
        """All of it, turn by turn, in the order in which it began; for a client that may know a part."""
        if self._edge is not None:
            yield self._edge
        for turn in self._turns.values():
            yield from turn.messages()

    def _turn(self, turn_id: int) -> _Turn:
        turn = self._turns.get(turn_id)
        if turn is None:
            turn = self._turns[turn_id] = _Turn(turn_id)
            while len(self._turns) > _TURNS:
                del self._turns[min(self._turns)]
        return turn


class _Turn:
    """The latest message of each kind, the text as one, and every mark."""

    def __init__(self, turn_id: int) -> None:
        self._turn_id = turn_id
        self._latest: dict[type, ServerMessage] = {}
        self._text: list[str] = []
        self._marks: list[SpeechMark] = []

    def record(self, message: _OfTurn) -> None:
        match message:
            case ReplyStarted():
                for kind in _OF_REPLY:
                    self._latest.pop(kind, None)
                self._text.clear()
                self._marks.clear()
            case FinalTranscript():
                self._latest.pop(PartialTranscript, None)
            case ReplyText():
                self._text.append(message.text)
            case SpeechMark():
                self._marks.append(message)
            case _:
                pass
        self._latest[type(message)] = message

    def messages(self) -> Iterator[ServerMessage]:
        for kind, message in self._latest.items():
            if kind is ReplyText:
                yield ReplyText(self._turn_id, "".join(self._text))
            elif kind is SpeechMark:
                yield from self._marks
            else:
                yield message
