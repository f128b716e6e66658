"""What a client may say: `anchor.session.v1` without its proto.

Each class is a member of `ClientMessage`, or part of one, with the same name and the same fields; what the fields mean
stands there. A test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TurnDetection(IntEnum):
    """Who decides that the user's turn is over."""

    TURN_DETECTION_UNSPECIFIED = 0
    TURN_DETECTION_AUTOMATIC = 1
    TURN_DETECTION_MANUAL = 2


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    turn_id: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class SessionStart:
    language: str = ""
    voice: str = ""
    persona: str = ""
    sample_rate_hz: int = 0
    reports_playback: bool = False
    turn_detection: TurnDetection = TurnDetection.TURN_DETECTION_AUTOMATIC
    ticket: str = ""
    patience: float | None = None
    take_over: bool = False
    received: ReplyReceived | None = None
    word_times: bool = False
    session_id: str = ""

    @property
    def ends_turns(self) -> bool:
        """Whether the client says itself when the user's turn is over."""
        return self.turn_detection is TurnDetection.TURN_DETECTION_MANUAL


@dataclass(frozen=True, slots=True)
class MicrophoneAudio:
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndTurn:
    pass


@dataclass(frozen=True, slots=True)
class TextInput:
    text: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    pass


@dataclass(frozen=True, slots=True)
class Pause:
    pass


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True)
class SetPersona:
    persona: str


@dataclass(frozen=True, slots=True)
class SetVoice:
    voice: str


@dataclass(frozen=True, slots=True)
class SetLanguage:
    language: str


@dataclass(frozen=True, slots=True)
class SetStyle:
    pace: float | None = None
    warmth: float | None = None
    humour: float | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class SetPatience:
    patience: float


@dataclass(frozen=True, slots=True)
class PlaybackProgress:
    turn_id: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class RequestStatus:
    pass


# What a user may choose, at any time.
Preference = SetLanguage | SetVoice | SetPersona | SetStyle | SetPatience
# What a session takes once it is open: everything but `SessionStart` and `MicrophoneAudio`.
Command = (
    EndTurn
    | TextInput
    | Interrupt
    | Pause
    | Resume
    | SetPersona
    | SetVoice
    | SetLanguage
    | SetStyle
    | SetPatience
    | PlaybackProgress
    | RequestStatus
)
ClientMessage = SessionStart | MicrophoneAudio | Command
