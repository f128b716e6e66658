# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""Anything the server may say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from orchestrator.conversation.messages.system_status import SystemStatus


class WaitDecision(IntEnum):
    """What a wait rests on."""

    WAIT_DECISION_UNSPECIFIED = 0
    """Not told."""
    WAIT_DECISION_PREDICTION = 1
    """On how sure the predictor was."""
    WAIT_DECISION_NO_JUDGEMENT = 2
    """Nobody judged this silence in time: the wait for that case."""
    WAIT_DECISION_FLOOR = 3
    """The predictor was so sure that the shortest wait holds."""
    WAIT_DECISION_CEILING = 4
    """The sentence hangs so much that the longest wait holds."""
    WAIT_DECISION_HABIT = 5
    """On this user's own pauses: they went on after silences that were held to be ends."""


class BargeInVerdict(IntEnum):
    """What the user's sound over a reply may turn out to be."""

    BARGE_IN_VERDICT_UNSPECIFIED = 0
    """Not told."""
    BARGE_IN_VERDICT_STOP_WORDS = 1
    """Words that were meant: the reply stops."""
    BARGE_IN_VERDICT_STOP_DURATION = 2
    """Speech that lasted: the reply stops."""
    BARGE_IN_VERDICT_BACKCHANNEL = 3
    """ "Mhm": the user listens, and the reply goes on."""
    BARGE_IN_VERDICT_ECHO = 4
    """The anchor's own words, heard through the microphone: the reply goes on."""
    BARGE_IN_VERDICT_COUGH = 5
    """A short sound without words: the reply goes on."""


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The session is open."""

    session_id: str
    """Names this session in logs, and to the `session_start` of a client that comes back to it."""
    ticket: str
    """Names the conversation to a later `session_start`. Keep it secret."""
    language: str
    """Language of the conversation, ISO 639-1."""
    voice: str
    """Voice id; empty for the language's own."""
    persona: str
    """Persona id."""
    microphone_sample_rate_hz: int
    """Rate the server expects of microphone audio."""
    anchor_sample_rate_hz: int
    """Rate of the anchor's audio."""
    resumed: bool
    """Whether the conversation has a past. With the `session_id` that the client had, the session itself goes on, and
    what is under way is told again.
    """
    patience: float
    """How long the anchor waits for the user to go on, as in `set_patience`."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from."""

    languages: tuple[str, ...] = ()
    """ISO 639-1 languages."""
    voices: tuple[VoiceChoice, ...] = ()
    """The voices, each language's default first; empty until the voice service has answered once."""
    personas: tuple[PersonaChoice, ...] = ()
    """The personas."""


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """A voice."""

    id: str
    """What `set_voice` takes."""
    name: str
    """Name for people."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 languages that it speaks."""
    engine: str = ""
    """Engine that speaks it."""
    cloned: bool = False
    """Whether it was learned from a recording."""


@dataclass(frozen=True, slots=True)
class PersonaChoice:
    """A persona."""

    id: str
    """What `set_persona` takes."""
    name: str
    """Name for people."""
    description: str = ""
    """Who it is, in a sentence; may be empty."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The start edge of the user's speech."""

    at_ms: int
    """Where speech began, on the audio clock."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The end edge of the user's speech."""

    at_ms: int
    """Where speech ended, on the audio clock."""


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """What the user has said so far in this turn."""

    turn_id: int
    """The turn being spoken."""
    text: str
    """All of the turn's text so far."""


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """What the user said in this turn."""

    turn_id: int
    """The turn."""
    revision: int
    """Counts the finals of this turn from 1."""
    text: str
    """All of the turn's text; empty when no words were found."""
    language: str = ""
    """ISO 639-1 language of the text; empty when not known."""
    confidence: float | None = None
    """Confidence, 0 to 1; absent where the engine has none."""
    words: tuple[Word, ...] = ()
    """The words of the text and when they were said, as `session_start` asked; empty where the engine cannot tell."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was said."""

    text: str
    """The word as it stands in the text, with its punctuation."""
    start_ms: int
    """Where it begins, in milliseconds on the audio clock."""
    end_ms: int
    """Where it ends, in milliseconds on the audio clock."""
    confidence: float | None = None
    """Confidence, 0 to 1; absent where the engine has none."""


@dataclass(frozen=True, slots=True)
class PredictorOpinion:
    """What one part of a predictor thought."""

    name: str
    """Name of the part, such as `text`."""
    probability: float
    """Probability that the turn is over, 0 to 1, by this part alone."""


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    """How long a silence is waited for, and why. A later one for the same `at_ms` replaces it."""

    at_ms: int
    """Where the silence began, on the audio clock."""
    probability: float | None = None
    """Probability that the turn is over, 0 to 1; absent when nobody judged the silence in time."""
    predictor: str = ""
    """Name of the predictor; empty when nobody judged."""
    wait_ms: int = 0
    """How long a silence will be waited for before the turn commits, in milliseconds, from `at_ms` on."""
    patience: float = 0.0
    """The user's patience that it was reckoned with, as in `set_patience`."""
    decided_by: WaitDecision = WaitDecision.WAIT_DECISION_UNSPECIFIED
    """What the wait rests on."""
    opinions: tuple[PredictorOpinion, ...] = ()
    """Parts of the prediction; empty when the predictor has none."""
    silence_ms: int = 0
    """Length of the silence when it was judged, in milliseconds; 0 when not known."""


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """The user's turn is over."""

    turn_id: int
    """The turn."""
    text: str
    """What the user said."""


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The anchor begins to answer."""

    turn_id: int
    """The turn answered."""
    engine: str
    """Engine that answers."""


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More text of the reply."""

    turn_id: int
    """The turn answered."""
    text: str
    """Characters to append."""


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """Places the audio frames that follow."""

    turn_id: int
    """The turn answered."""
    offset_ms: int
    """Place of the next frame's first sample in the reply, in milliseconds."""


@dataclass(frozen=True, slots=True)
class AnchorAudio:
    """A run of the anchor's speech."""

    pcm: bytes
    """Samples: signed 16-bit little endian, mono, 24000 Hz."""


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """The moment a span of the reply's text begins to sound."""

    turn_id: int
    """The turn answered."""
    text_start: int
    """First character of the span in the reply's text, in Unicode code points."""
    text_end: int
    """Character after the span."""
    offset_ms: int
    """Where it begins in the reply's audio, in milliseconds."""


@dataclass(frozen=True, slots=True)
class PlaybackPause:
    """Hold playback."""

    turn_id: int
    """The reply's turn."""


@dataclass(frozen=True, slots=True)
class PlaybackResume:
    """Go on with playback."""

    turn_id: int
    """The reply's turn."""


@dataclass(frozen=True, slots=True)
class PlaybackStop:
    """Drop playback."""

    turn_id: int
    """The reply's turn."""


@dataclass(frozen=True, slots=True)
class BargeInSettled:
    """What the user's sound over a reply turned out to be. After anything but a stop, nothing more comes of the turn
    that the sound had opened: no `turn_committed` and no reply.
    """

    turn_id: int
    """The turn that the sound had opened, the one that its transcripts belong to."""
    reply_turn_id: int
    """The turn whose reply was spoken over."""
    verdict: BargeInVerdict
    """What it was."""


@dataclass(frozen=True, slots=True)
class ReplyAudioEnded:
    """All audio of a reply has been sent."""

    turn_id: int
    """The reply's turn."""
    duration_ms: int
    """Length of the reply in milliseconds."""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A reply is over."""

    turn_id: int
    """The reply's turn."""
    heard_text: str
    """What was heard of it: this is what history keeps."""
    heard_ms: int
    """How much was heard, in milliseconds."""
    interrupted: bool
    """Whether it was cut off."""
    estimated: bool
    """Whether `heard_text` rests on an estimate: the client does not report, or the voice says not where words sound.
    """


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A reply failed."""

    turn_id: int
    """The turn."""
    code: str
    """Stable dotted code, as in `error`."""
    message: str
    """What happened, for people."""


@dataclass(frozen=True, slots=True)
class LatencyWaterfall:
    """The time of one turn. Stages are milliseconds after the end of the user's speech, in the order they happened;
    absent where a stage did not happen.
    """

    turn_id: int
    """The turn."""
    speech_end_ms: int
    """End of the user's speech on the audio clock."""
    speech_stopped_ms: int | None = None
    """The turn detector noticed the silence."""
    final_transcript_ms: int | None = None
    """The transcript that was answered was there."""
    turn_committed_ms: int | None = None
    """The turn was held to be over."""
    first_token_ms: int | None = None
    """The language model's first token."""
    first_phrase_ms: int | None = None
    """The speech service had enough text for the first phrase."""
    first_audio_ms: int | None = None
    """The speech service's first audio."""
    first_frame_sent_ms: int | None = None
    """The first frame was sent."""
    first_sample_heard_ms: int | None = None
    """The first sample was heard, by the client's report."""
    budget_ms: int = 0
    """What a turn may take from the end of speech to the first frame sent, as the server is set; 0 when it does not
    say.
    """


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The session's settings now."""

    language: str
    """ISO 639-1 language."""
    voice: str
    """Voice id; empty for the language's own."""
    persona: str
    """Persona id."""
    patience: float
    """How long the anchor waits for the user to go on, as in `set_patience`."""
    style: Style | None = None
    """The manner of speaking."""


@dataclass(frozen=True, slots=True)
class Style:
    """A manner of speaking, as in `set_style`; an absent field is the voice's and the persona's own."""

    pace: float | None = None
    """Speed of speech: 1 is the voice's own, 0.5 to 2."""
    warmth: float | None = None
    """0 (cool) to 1 (warm)."""
    humour: float | None = None
    """0 (earnest) to 1 (playful)."""
    energy: float | None = None
    """0 (calm) to 1 (lively)."""


@dataclass(frozen=True, slots=True)
class ServiceNotice:
    """A service or a capability of the mesh is impaired, or no longer so. The session goes on either way."""

    code: str
    """Stable dotted code, such as `stt.unreachable` or `memory.text_only`; the same when it begins and when it ends."""
    active: bool
    """Whether the impairment begins (true) or has ended (false)."""
    message: str
    """What happened, for people."""


@dataclass(frozen=True, slots=True)
class Error:
    """A message could not be accepted."""

    code: str
    """Stable dotted code, such as `session.unknown_language`."""
    message: str
    """What happened, for people."""
    retryable: bool
    """Whether the same thing may work later."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Why a session ended."""

    code: str
    """Stable dotted code, such as `session.closed_by_client`."""
    message: str
    """What happened, for people."""


ServerMessage = (
    # The session is open. Comes first.
    SessionStarted
    # The user began to speak.
    | SpeechStarted
    # The user fell silent, perhaps for a moment.
    | SpeechStopped
    # What the user has said so far; replaces the previous one.
    | PartialTranscript
    # What the user said; a higher revision for the same turn replaces it until `turn_committed`.
    | FinalTranscript
    # How likely the user's turn is over.
    | TurnEndPredicted
    # The user's turn is over: this is what will be answered.
    | TurnCommitted
    # The anchor begins to answer.
    | ReplyStarted
    # More text of the reply.
    | ReplyText
    # The audio frames from here on belong to this reply, at this offset. Precedes a reply's first frame and any jump.
    | ReplyAudio
    # Speech. Over gRPC only: a WebSocket gets binary frames.
    | AnchorAudio
    # Where words of the reply sound.
    | SpeechMark
    # Hold playback where it is.
    | PlaybackPause
    # Go on with held playback.
    | PlaybackResume
    # Drop all audio of this reply, now.
    | PlaybackStop
    # All audio of this reply has been sent; it may still be playing.
    | ReplyAudioEnded
    # The reply is over, and this much of it was heard.
    | ReplyFinished
    # The reply failed.
    | TurnFailed
    # Where the time of this turn went.
    | LatencyWaterfall
    # How the services are.
    | SystemStatus
    # The settings of the session: when they change, and after the `session_started` of a conversation with a past.
    | SessionUpdated
    # A message could not be accepted. The session goes on unless it also ends.
    | Error
    # The session is over; nothing follows.
    | SessionEnded
    # What the user's sound over a reply turned out to be.
    | BargeInSettled
    # What there is to choose from. Follows `session_started`, and comes again when it changes.
    | Choices
    # A service of the mesh failed, or works again; a degradation began, or ended.
    | ServiceNotice
)
"""Anything the server may say."""
