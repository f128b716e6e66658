"""What a client may be told: `anchor.session.v1` without its proto, as in `client_messages`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from orchestrator.conversation.messages.system_status import SystemStatus


@dataclass(frozen=True, slots=True)
class SessionStarted:
    session_id: str
    ticket: str
    language: str
    voice: str
    persona: str
    microphone_sample_rate_hz: int
    anchor_sample_rate_hz: int
    resumed: bool
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    id: str
    name: str
    languages: tuple[str, ...] = ()
    engine: str = ""
    cloned: bool = False


@dataclass(frozen=True, slots=True)
class PersonaChoice:
    id: str
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    languages: tuple[str, ...] = ()
    voices: tuple[VoiceChoice, ...] = ()
    personas: tuple[PersonaChoice, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    at_ms: int


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    turn_id: int
    revision: int
    text: str
    language: str = ""
    confidence: float | None = None
    words: tuple[Word, ...] = ()


class WaitDecision(IntEnum):
    """What a wait engines on."""

    WAIT_DECISION_UNSPECIFIED = 0
    WAIT_DECISION_PREDICTION = 1
    WAIT_DECISION_NO_JUDGEMENT = 2
    WAIT_DECISION_FLOOR = 3
    WAIT_DECISION_CEILING = 4
    WAIT_DECISION_HABIT = 5


@dataclass(frozen=True, slots=True)
class PredictorOpinion:
    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    at_ms: int
    probability: float | None = None
    predictor: str = ""
    wait_ms: int = 0
    patience: float = 1.0
    decided_by: WaitDecision = WaitDecision.WAIT_DECISION_UNSPECIFIED
    opinions: tuple[PredictorOpinion, ...] = ()
    silence_ms: int = 0


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    turn_id: int
    engine: str


@dataclass(frozen=True, slots=True)
class ReplyText:
    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    turn_id: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class AnchorAudio:
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechMark:
    turn_id: int
    text_start: int
    text_end: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class PlaybackPause:
    turn_id: int


@dataclass(frozen=True, slots=True)
class PlaybackResume:
    turn_id: int


@dataclass(frozen=True, slots=True)
class PlaybackStop:
    turn_id: int


class BargeInVerdict(IntEnum):
    """What the user's sound over the reply turned out to be."""

    BARGE_IN_VERDICT_UNSPECIFIED = 0
    BARGE_IN_VERDICT_STOP_WORDS = 1
    BARGE_IN_VERDICT_STOP_DURATION = 2
    BARGE_IN_VERDICT_BACKCHANNEL = 3
    BARGE_IN_VERDICT_ECHO = 4
    BARGE_IN_VERDICT_COUGH = 5


@dataclass(frozen=True, slots=True)
class BargeInSettled:
    turn_id: int
    reply_turn_id: int
    verdict: BargeInVerdict


@dataclass(frozen=True, slots=True)
class ReplyAudioEnded:
    turn_id: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    turn_id: int
    heard_text: str
    heard_ms: int
    interrupted: bool
    estimated: bool


@dataclass(frozen=True, slots=True)
class TurnFailed:
    turn_id: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class LatencyWaterfall:
    turn_id: int
    speech_end_ms: int
    speech_stopped_ms: int | None = None
    final_transcript_ms: int | None = None
    turn_committed_ms: int | None = None
    first_token_ms: int | None = None
    first_phrase_ms: int | None = None
    first_audio_ms: int | None = None
    first_frame_sent_ms: int | None = None
    first_sample_heard_ms: int | None = None
    budget_ms: int = 0


@dataclass(frozen=True, slots=True)
class Style:
    pace: float | None = None
    warmth: float | None = None
    humour: float | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    language: str
    voice: str
    persona: str
    patience: float = 1.0
    style: Style | None = None


@dataclass(frozen=True, slots=True)
class ServiceNotice:
    code: str
    active: bool
    message: str


@dataclass(frozen=True, slots=True)
class Error:
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class SessionEnded:
    code: str
    message: str


ServerMessage = (
    SessionStarted
    | Choices
    | SpeechStarted
    | SpeechStopped
    | PartialTranscript
    | FinalTranscript
    | TurnEndPredicted
    | TurnCommitted
    | ReplyStarted
    | ReplyText
    | ReplyAudio
    | AnchorAudio
    | SpeechMark
    | PlaybackPause
    | PlaybackResume
    | PlaybackStop
    | BargeInSettled
    | ReplyAudioEnded
    | ReplyFinished
    | TurnFailed
    | LatencyWaterfall
    | SystemStatus
    | SessionUpdated
    | ServiceNotice
    | Error
    | SessionEnded
)
