# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""Anything a client may say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TurnDetection(IntEnum):
    """Who decides that the user's turn is over."""

    TURN_DETECTION_UNSPECIFIED = 0
    """As automatic."""
    TURN_DETECTION_AUTOMATIC = 1
    """The anchor listens for the end of the turn."""
    TURN_DETECTION_MANUAL = 2
    """The client says so with `end_turn`: push-to-talk, uploads."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Opens or resumes a session."""

    language: str = ""
    """ISO 639-1 language of the conversation; empty for the server's own."""
    voice: str = ""
    """Voice id; empty for the language's own."""
    persona: str = ""
    """Persona id; empty for the server's own."""
    sample_rate_hz: int = 0
    """Rate of the microphone audio; 0 for 16000. From 8000 to 48000."""
    reports_playback: bool = False
    """Whether the client sends `playback_progress` and can flush its playback. History then holds what was heard by its
    word; otherwise an estimate.
    """
    turn_detection: TurnDetection = TurnDetection.TURN_DETECTION_UNSPECIFIED
    """Who ends the user's turns."""
    ticket: str = ""
    """Ticket of a conversation to go on with; empty for a new one."""
    patience: float | None = None
    """How long the anchor waits for the user to go on, as in `set_patience`; absent for the server's own."""
    take_over: bool = False
    """Whether to take this conversation from the client that has it open now, if any, instead of being refused."""
    received: ReplyReceived | None = None
    """Up to where the client has received the reply that it was hearing when the line dropped: the reply goes on from
    there. Absent for a client that has nothing of it any more: then it goes on from where it was last heard by its
    reports.
    """
    word_times: bool = False
    """Whether `final_transcript` shall say when each word was said, where the speech engine can tell."""
    session_id: str = ""
    """Id of the session that this client had when its line dropped, as `session_started` told; else empty. With the
    ticket it shows that this is the same client, which is let in also while its old line is not known to be dead.
    """


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """How far a reply has reached a client, heard or not."""

    turn_id: int
    """The reply's turn."""
    offset_ms: int
    """Milliseconds of it that the client has received."""


@dataclass(frozen=True, slots=True)
class MicrophoneAudio:
    """A run of microphone audio, without gaps."""

    pcm: bytes
    """Samples: signed 16-bit little endian, mono, at the declared rate."""


@dataclass(frozen=True, slots=True)
class EndTurn:
    """The user's turn is over."""


@dataclass(frozen=True, slots=True)
class TextInput:
    """A turn in writing."""

    text: str
    """What the user wrote."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stops the reply."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Holds the reply."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Goes on with a held reply."""


@dataclass(frozen=True, slots=True)
class SetPersona:
    """Changes who the anchor is."""

    persona: str
    """Persona id."""


@dataclass(frozen=True, slots=True)
class SetVoice:
    """Changes the voice."""

    voice: str
    """Voice id; empty for the language's own."""


@dataclass(frozen=True, slots=True)
class SetLanguage:
    """Changes the language. A chosen voice that does not speak it makes way for the language's own."""

    language: str
    """ISO 639-1 language."""


@dataclass(frozen=True, slots=True)
class SetStyle:
    """Changes the manner of speaking; an absent field stays as it is."""

    pace: float | None = None
    """Speed of speech: 1 is the voice's own, 0.5 to 2."""
    warmth: float | None = None
    """0 (cool) to 1 (warm)."""
    humour: float | None = None
    """0 (earnest) to 1 (playful)."""
    energy: float | None = None
    """0 (calm) to 1 (lively)."""


@dataclass(frozen=True, slots=True)
class SetPatience:
    """Changes how long a silence is waited for before the user's turn is held to be over."""

    patience: float
    """1 is the usual wait, 0.5 half of it (brisk), 2 twice as long (patient); from 0.5 to 2."""


@dataclass(frozen=True, slots=True)
class PlaybackProgress:
    """How much of a reply came out of the user's speaker."""

    turn_id: int
    """The reply's turn."""
    played_ms: int
    """Milliseconds of it heard so far."""


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Asks for `system_status`."""


Command = (
    # The user's turn is over now. Needed with manual turn detection, allowed with automatic.
    EndTurn
    # A turn in writing.
    | TextInput
    # Stop the reply.
    | Interrupt
    # Hold the reply where it is.
    | Pause
    # Go on with a held reply.
    | Resume
    # Change who the anchor is.
    | SetPersona
    # Change the voice from the next reply on.
    | SetVoice
    # Change the language from the next turn on.
    | SetLanguage
    # Change the manner of speaking from the next reply on.
    | SetStyle
    # How much of the reply the user has heard.
    | PlaybackProgress
    # Asks for a `system_status` now.
    | RequestStatus
    # Change how long the anchor waits for the user to go on, from the next silence on.
    | SetPatience
)
"""What a client may send once its session is open, besides audio."""

ClientMessage = (
    # Opens the session; must come first, and only once.
    SessionStart
    # Microphone audio. Over gRPC only: a WebSocket sends binary frames.
    | MicrophoneAudio
    | Command
)
"""Anything a client may say."""
