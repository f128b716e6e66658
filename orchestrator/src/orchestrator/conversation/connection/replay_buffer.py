"""Replay buffer: active notices and messages of the last three turns, replayed when a client resumes the session."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.conversation.messages.server import (
    BargeInSettled,
    FinalTranscript,
    LatencyWaterfall,
    PartialTranscript,
    PlaybackStop,
    ReplyFinished,
    ReplySources,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    ServiceNotice,
    SpeechMark,
    SpeechStarted,
    SpeechStopped,
    TurnCommitted,
    TurnFailed,
    TurnSaved,
    TurnSpoken,
)

# The turn being answered, the open turn, and one whose last messages may have been lost with the connection.
_TURNS = 3

_TurnMessage = (
    PartialTranscript
    | FinalTranscript
    | TurnCommitted
    | BargeInSettled
    | ReplyStarted
    | ReplySources
    | ReplyText
    | SpeechMark
    | PlaybackStop
    | ReplyFinished
    | TurnFailed
    | LatencyWaterfall
    | TurnSaved
    | TurnSpoken
)
_REPLY_MESSAGES = (
    ReplyStarted,
    ReplySources,
    ReplyText,
    SpeechMark,
    PlaybackStop,
    ReplyFinished,
    TurnFailed,
    LatencyWaterfall,
    TurnSaved,
)


class ReplayBuffer:
    """Active service notices and the messages of the last turns; momentary messages are not kept.

    A turn is bounded by the length of its reply and of its sources, the notices by the number of their codes.

    A client may know any part of the replayed messages already.
    """

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}
        self._speech_event: SpeechStarted | SpeechStopped | None = None
        self._notices: dict[str, ServiceNotice] = {}

    def record(self, message: ServerMessage) -> None:
        """Record `message`, whether or not a client is connected."""
        if isinstance(message, SpeechStarted | SpeechStopped):
            self._speech_event = message
        elif isinstance(message, ServiceNotice):
            self._notices.pop(message.code, None)
            if message.active:
                self._notices[message.code] = message
        elif isinstance(message, _TurnMessage):
            self._turn(message.turn_id).record(message)

    def messages(self) -> Iterator[ServerMessage]:
        """The messages to replay: active notices, the latest speech event, each turn in order of first messages."""
        yield from self._notices.values()
        if self._speech_event is not None:
            yield self._speech_event
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
    """The messages of one turn: the latest of each type, the reply text joined, and every speech mark.

    A new reply replaces the messages of the previous one; a final transcript replaces the partial one.
    """

    def __init__(self, turn_id: int) -> None:
        self._turn_id = turn_id
        self._latest: dict[type, ServerMessage] = {}
        self._text: list[str] = []
        self._marks: list[SpeechMark] = []

    def record(self, message: _TurnMessage) -> None:
        match message:
            case ReplyStarted():
                for kind in _REPLY_MESSAGES:
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
