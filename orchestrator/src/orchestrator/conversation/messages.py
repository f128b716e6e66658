"""What a client may say and be told: `anchor.session.v1` without its proto.

Each class is a member of `ClientMessage` or `ServerMessage`, with the same name and the same fields; what the
fields mean stands there. A test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# ---------------------------------------------------------------------------------------------------------------
# From the client


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

# ---------------------------------------------------------------------------------------------------------------
# From the server


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
    """What a wait rests on."""

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


class ServiceHealth(IntEnum):
    """How well a service is."""

    SERVICE_HEALTH_UNSPECIFIED = 0
    SERVICE_HEALTH_READY = 1
    SERVICE_HEALTH_LOADING = 2
    SERVICE_HEALTH_DOWN = 3


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    service: str
    health: ServiceHealth
    engine: str = ""
    model: str = ""
    version: str = ""


class GpuPressure(IntEnum):
    """How short of memory a GPU is."""

    GPU_PRESSURE_UNSPECIFIED = 0
    GPU_PRESSURE_NONE = 1
    GPU_PRESSURE_HIGH = 2
    GPU_PRESSURE_CRITICAL = 3


@dataclass(frozen=True, slots=True)
class GpuServiceMemory:
    service: str
    used_mib: int | None = None
    planned_mib: int | None = None


@dataclass(frozen=True, slots=True)
class GpuStatus:
    present: bool
    unavailable_reason: str = ""
    memory_total_mib: int = 0
    memory_used_mib: int = 0
    services: tuple[GpuServiceMemory, ...] = ()
    pressure: GpuPressure = GpuPressure.GPU_PRESSURE_UNSPECIFIED
    temperature_celsius: int | None = None


@dataclass(frozen=True, slots=True)
class Degradation:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SystemStatus:
    services: tuple[ServiceStatus, ...]
    gpu: GpuStatus | None = None
    degraded: tuple[Degradation, ...] = ()


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
    | Error
    | SessionEnded
)
