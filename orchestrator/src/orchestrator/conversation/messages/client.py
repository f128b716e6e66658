# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""Any message from a client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TurnDetection(IntEnum):
    """How the end of the user's turn is detected."""

    TURN_DETECTION_UNSPECIFIED = 0
    """Same as automatic."""
    TURN_DETECTION_AUTOMATIC = 1
    """The server detects the end of the turn (endpointing)."""
    TURN_DETECTION_MANUAL = 2
    """The client sends `end_turn`: push-to-talk, uploads."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Opens or resumes a session."""

    language: str = ""
    """Language of the conversation, ISO 639-1 (`en`; of `en-US` only `en` counts), or `auto`: the user's speech
    decides, and the reply is in the language heard if the persona speaks it. Empty for the server's default, which
    is `auto` unless it was set otherwise.
    """
    voice: str = ""
    """Voice id; empty for the language's default voice."""
    persona: str = ""
    """Persona id; empty for the server's default."""
    sample_rate_hz: int = 0
    """Sample rate of the microphone audio, 8000 to 48000 Hz; 0 for 16000."""
    reports_playback: bool = False
    """Whether the client sends `playback_progress` and can flush its playback. History then keeps what the client
    reports as played; otherwise an estimate.
    """
    turn_detection: TurnDetection = TurnDetection.TURN_DETECTION_UNSPECIFIED
    """How the end of the user's turns is detected."""
    ticket: str = ""
    """Ticket of the conversation to continue; empty for a new one."""
    patience: float | None = None
    """Factor of the end-of-turn wait, as in `set_patience`; absent for the server's default."""
    take_over: bool = False
    """Whether to take the conversation over from the client that has it open. Otherwise the server rejects this client
    with `session.already_open` while another one has the conversation open.
    """
    received: ReplyReceived | None = None
    """How much of the interrupted reply the client received before its connection dropped: the reply continues from
    there. Absent when the client no longer has any of it: the reply then continues from the last playback position
    that the client reported.
    """
    word_times: bool = False
    """Whether `final_transcript` includes word timestamps, where the STT engine provides them."""
    session_id: str = ""
    """Id of the session whose connection dropped, as `session_started` returned it; else empty. Together with the
    ticket it identifies the same client, which is accepted even while the server still considers its old connection
    alive.
    """
    person_id: str = ""
    """Whose conversation this is: a name that the client chooses, at most 128 characters, by which everything stored of
    a person can be exported and deleted. Empty for nobody's. A conversation that was begun for one person is refused
    to another with `session.other_person`.
    """
    played: PlaybackProgress | None = None
    """How much of the interrupted reply the client has played, where it knows: history keeps these words even when the
    server did not live to store the last report. Absent when nothing was interrupted.
    """
    waits: bool = False
    """Whether the client waits when all places are taken, and is told with `admission` when one is free. Otherwise its
    session ends with `admission.at_capacity` as soon as its user speaks or writes.
    """
    barge_in_stop_ms: int | None = None
    """Length of the speech that stops a reply, as in `set_barge_in`; absent for the server's default."""
    barge_in_min_words: int | None = None
    """The fewest words that stop a reply, as in `set_barge_in`; absent for the server's default."""


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """How much of a reply a client has received, whether played or not."""

    turn_id: int
    """Id of the reply's turn."""
    offset_ms: int
    """Length of the received audio in milliseconds from the start of the reply."""


@dataclass(frozen=True, slots=True)
class MicrophoneAudio:
    """A run of microphone audio without gaps."""

    pcm: bytes
    """Samples: signed 16-bit little endian, mono, at the declared rate."""


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Ends the user's turn."""


@dataclass(frozen=True, slots=True)
class TextInput:
    """A user turn as text."""

    text: str
    """The user's text."""
    replaces_turn_id: int | None = None
    """Id of the turn that this one replaces: what the user said was misheard. Of that turn nothing stays in the
    history; a reply to it that is playing stops. An id that the conversation has not given to any turn is refused
    with `session.unknown_turn`, and the text is not answered.
    """


@dataclass(frozen=True, slots=True)
class SpeakAgain:
    """Speaks a reply again, as a turn of its own whose `reply_started` has the engine `again`. A reply that is playing
    stops. Refused with `session.nothing_to_speak` when the text of that reply, or more of it, is not known: the
    server knows that of the last replies of a session, and what was heard of all replies in the history.
    """

    turn_id: int
    """Id of the reply's turn."""
    from_cut: bool
    """Whether to speak only what was not heard, from the word at which the reply was cut off."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stops the reply."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Pauses the reply."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Resumes a paused reply."""


@dataclass(frozen=True, slots=True)
class SetPersona:
    """Changes the persona."""

    persona: str
    """Persona id."""


@dataclass(frozen=True, slots=True)
class SetVoice:
    """Changes the voice."""

    voice: str
    """Voice id; empty for the language's default voice."""


@dataclass(frozen=True, slots=True)
class SetLanguage:
    """Changes the language. The language's default voice replaces a selected voice that does not speak it."""

    language: str
    """Language, as in `session_start`."""


@dataclass(frozen=True, slots=True)
class SetStyle:
    """Changes the speaking style; an absent field stays unchanged."""

    pace: float | None = None
    """Speech rate, 0.5 to 2; 1 is the voice's own rate."""
    warmth: float | None = None
    """Warmth, 0 (cool) to 1 (warm); 0.5 is neutral, as when it was never set."""
    humour: float | None = None
    """Humour, 0 (earnest) to 1 (playful); 0.5 is neutral, as when it was never set."""
    energy: float | None = None
    """Energy, 0 (calm) to 1 (lively); 0.5 is neutral, as when it was never set."""


@dataclass(frozen=True, slots=True)
class SetPatience:
    """Scales the end-of-turn wait: how long a silence lasts before the user's turn counts as over."""

    patience: float
    """Factor of the wait, 0.5 to 2: 1 is the usual wait, 0.5 half of it (brisk), 2 twice as long (patient)."""


@dataclass(frozen=True, slots=True)
class SetBargeIn:
    """Changes what stops a reply when the user speaks over it. For an absent field the server's default applies. Kept
    with the conversation while the server runs, and not stored.
    """

    stop_ms: int | None = None
    """Speech of this length stops the reply, with or without words: 100 to 3000 ms."""
    min_words: int | None = None
    """The fewest words that stop it, 1 to 10; words that ask for silence are exempt."""


@dataclass(frozen=True, slots=True)
class PlaybackProgress:
    """Reports the playback position of a reply: how much of it the client has played to the user."""

    turn_id: int
    """Id of the reply's turn."""
    played_ms: int
    """Milliseconds of the reply played so far."""


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Requests a `system_status`."""


@dataclass(frozen=True, slots=True)
class SetSpeechActivity:
    """Subscribes to `speech_activity`, or ends the subscription. There is none at the start, nor after a reconnect."""

    enabled: bool
    """Whether `speech_activity` is sent."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Measures the round trip to the session, behind what it has to do before."""

    ping_id: int
    """A number that the client chooses, which the `pong` returns."""


Command = (
    # Ends the user's turn. Required with manual turn detection, allowed with automatic.
    EndTurn
    # Sends a user turn as text.
    | TextInput
    # Stops the reply.
    | Interrupt
    # Pauses the reply at its playback position.
    | Pause
    # Resumes a paused reply.
    | Resume
    # Changes the persona.
    | SetPersona
    # Changes the voice, from the next reply on.
    | SetVoice
    # Changes the language, from the next turn on.
    | SetLanguage
    # Changes the speaking style, from the next reply on.
    | SetStyle
    # Reports the playback position of the reply.
    | PlaybackProgress
    # Requests an immediate `system_status`.
    | RequestStatus
    # Scales the end-of-turn wait, from the next silence on.
    | SetPatience
    # Speaks a reply again, or goes on with one that was cut off.
    | SpeakAgain
    # Measures the round trip: answered by a `pong`.
    | Ping
    # Changes what stops a reply, from the next sound over one on.
    | SetBargeIn
    # Subscribes to `speech_activity`, or ends the subscription.
    | SetSpeechActivity
)
"""Any client message after `session_start`, except audio."""

ClientMessage = (
    # Opens or resumes a session. Must be the first message, and be sent only once.
    SessionStart
    # Carries microphone audio. gRPC only: a WebSocket client sends binary frames.
    | MicrophoneAudio
    | Command
)
"""Any message from a client."""
