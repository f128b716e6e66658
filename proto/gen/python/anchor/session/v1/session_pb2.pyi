from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TurnDetection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TURN_DETECTION_UNSPECIFIED: _ClassVar[TurnDetection]
    TURN_DETECTION_AUTOMATIC: _ClassVar[TurnDetection]
    TURN_DETECTION_MANUAL: _ClassVar[TurnDetection]

class WaitDecision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_DECISION_UNSPECIFIED: _ClassVar[WaitDecision]
    WAIT_DECISION_PREDICTION: _ClassVar[WaitDecision]
    WAIT_DECISION_NO_JUDGEMENT: _ClassVar[WaitDecision]
    WAIT_DECISION_FLOOR: _ClassVar[WaitDecision]
    WAIT_DECISION_CEILING: _ClassVar[WaitDecision]
    WAIT_DECISION_HABIT: _ClassVar[WaitDecision]

class BargeInVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BARGE_IN_VERDICT_UNSPECIFIED: _ClassVar[BargeInVerdict]
    BARGE_IN_VERDICT_STOP_WORDS: _ClassVar[BargeInVerdict]
    BARGE_IN_VERDICT_STOP_DURATION: _ClassVar[BargeInVerdict]
    BARGE_IN_VERDICT_BACKCHANNEL: _ClassVar[BargeInVerdict]
    BARGE_IN_VERDICT_ECHO: _ClassVar[BargeInVerdict]
    BARGE_IN_VERDICT_COUGH: _ClassVar[BargeInVerdict]
    BARGE_IN_VERDICT_CONTINUATION: _ClassVar[BargeInVerdict]

class ServiceHealth(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVICE_HEALTH_UNSPECIFIED: _ClassVar[ServiceHealth]
    SERVICE_HEALTH_READY: _ClassVar[ServiceHealth]
    SERVICE_HEALTH_LOADING: _ClassVar[ServiceHealth]
    SERVICE_HEALTH_DOWN: _ClassVar[ServiceHealth]

class GpuPressure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GPU_PRESSURE_UNSPECIFIED: _ClassVar[GpuPressure]
    GPU_PRESSURE_NONE: _ClassVar[GpuPressure]
    GPU_PRESSURE_ELEVATED: _ClassVar[GpuPressure]
    GPU_PRESSURE_HIGH: _ClassVar[GpuPressure]
    GPU_PRESSURE_CRITICAL: _ClassVar[GpuPressure]

class AdmissionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADMISSION_STATE_UNSPECIFIED: _ClassVar[AdmissionState]
    ADMISSION_STATE_WAITING: _ClassVar[AdmissionState]
    ADMISSION_STATE_ADMITTED: _ClassVar[AdmissionState]
TURN_DETECTION_UNSPECIFIED: TurnDetection
TURN_DETECTION_AUTOMATIC: TurnDetection
TURN_DETECTION_MANUAL: TurnDetection
WAIT_DECISION_UNSPECIFIED: WaitDecision
WAIT_DECISION_PREDICTION: WaitDecision
WAIT_DECISION_NO_JUDGEMENT: WaitDecision
WAIT_DECISION_FLOOR: WaitDecision
WAIT_DECISION_CEILING: WaitDecision
WAIT_DECISION_HABIT: WaitDecision
BARGE_IN_VERDICT_UNSPECIFIED: BargeInVerdict
BARGE_IN_VERDICT_STOP_WORDS: BargeInVerdict
BARGE_IN_VERDICT_STOP_DURATION: BargeInVerdict
BARGE_IN_VERDICT_BACKCHANNEL: BargeInVerdict
BARGE_IN_VERDICT_ECHO: BargeInVerdict
BARGE_IN_VERDICT_COUGH: BargeInVerdict
BARGE_IN_VERDICT_CONTINUATION: BargeInVerdict
SERVICE_HEALTH_UNSPECIFIED: ServiceHealth
SERVICE_HEALTH_READY: ServiceHealth
SERVICE_HEALTH_LOADING: ServiceHealth
SERVICE_HEALTH_DOWN: ServiceHealth
GPU_PRESSURE_UNSPECIFIED: GpuPressure
GPU_PRESSURE_NONE: GpuPressure
GPU_PRESSURE_ELEVATED: GpuPressure
GPU_PRESSURE_HIGH: GpuPressure
GPU_PRESSURE_CRITICAL: GpuPressure
ADMISSION_STATE_UNSPECIFIED: AdmissionState
ADMISSION_STATE_WAITING: AdmissionState
ADMISSION_STATE_ADMITTED: AdmissionState

class ConverseRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: ClientMessage
    def __init__(self, message: _Optional[_Union[ClientMessage, _Mapping]] = ...) -> None: ...

class ConverseResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: ServerMessage
    def __init__(self, message: _Optional[_Union[ServerMessage, _Mapping]] = ...) -> None: ...

class ClientMessage(_message.Message):
    __slots__ = ("session_start", "microphone_audio", "end_turn", "text_input", "interrupt", "pause", "resume", "set_persona", "set_voice", "set_language", "set_style", "playback_progress", "request_status", "set_patience", "speak_again", "ping", "set_barge_in", "set_speech_activity")
    SESSION_START_FIELD_NUMBER: _ClassVar[int]
    MICROPHONE_AUDIO_FIELD_NUMBER: _ClassVar[int]
    END_TURN_FIELD_NUMBER: _ClassVar[int]
    TEXT_INPUT_FIELD_NUMBER: _ClassVar[int]
    INTERRUPT_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    SET_PERSONA_FIELD_NUMBER: _ClassVar[int]
    SET_VOICE_FIELD_NUMBER: _ClassVar[int]
    SET_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SET_STYLE_FIELD_NUMBER: _ClassVar[int]
    PLAYBACK_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_STATUS_FIELD_NUMBER: _ClassVar[int]
    SET_PATIENCE_FIELD_NUMBER: _ClassVar[int]
    SPEAK_AGAIN_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    SET_BARGE_IN_FIELD_NUMBER: _ClassVar[int]
    SET_SPEECH_ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    session_start: SessionStart
    microphone_audio: MicrophoneAudio
    end_turn: EndTurn
    text_input: TextInput
    interrupt: Interrupt
    pause: Pause
    resume: Resume
    set_persona: SetPersona
    set_voice: SetVoice
    set_language: SetLanguage
    set_style: SetStyle
    playback_progress: PlaybackProgress
    request_status: RequestStatus
    set_patience: SetPatience
    speak_again: SpeakAgain
    ping: Ping
    set_barge_in: SetBargeIn
    set_speech_activity: SetSpeechActivity
    def __init__(self, session_start: _Optional[_Union[SessionStart, _Mapping]] = ..., microphone_audio: _Optional[_Union[MicrophoneAudio, _Mapping]] = ..., end_turn: _Optional[_Union[EndTurn, _Mapping]] = ..., text_input: _Optional[_Union[TextInput, _Mapping]] = ..., interrupt: _Optional[_Union[Interrupt, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., set_persona: _Optional[_Union[SetPersona, _Mapping]] = ..., set_voice: _Optional[_Union[SetVoice, _Mapping]] = ..., set_language: _Optional[_Union[SetLanguage, _Mapping]] = ..., set_style: _Optional[_Union[SetStyle, _Mapping]] = ..., playback_progress: _Optional[_Union[PlaybackProgress, _Mapping]] = ..., request_status: _Optional[_Union[RequestStatus, _Mapping]] = ..., set_patience: _Optional[_Union[SetPatience, _Mapping]] = ..., speak_again: _Optional[_Union[SpeakAgain, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., set_barge_in: _Optional[_Union[SetBargeIn, _Mapping]] = ..., set_speech_activity: _Optional[_Union[SetSpeechActivity, _Mapping]] = ...) -> None: ...

class SessionStart(_message.Message):
    __slots__ = ("language", "voice", "persona", "sample_rate_hz", "reports_playback", "turn_detection", "ticket", "patience", "take_over", "received", "word_times", "session_id", "person_id", "played", "waits", "barge_in_stop_ms", "barge_in_min_words")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    REPORTS_PLAYBACK_FIELD_NUMBER: _ClassVar[int]
    TURN_DETECTION_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    TAKE_OVER_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    WORD_TIMES_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYED_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    BARGE_IN_STOP_MS_FIELD_NUMBER: _ClassVar[int]
    BARGE_IN_MIN_WORDS_FIELD_NUMBER: _ClassVar[int]
    language: str
    voice: str
    persona: str
    sample_rate_hz: int
    reports_playback: bool
    turn_detection: TurnDetection
    ticket: str
    patience: float
    take_over: bool
    received: ReplyReceived
    word_times: bool
    session_id: str
    person_id: str
    played: PlaybackProgress
    waits: bool
    barge_in_stop_ms: int
    barge_in_min_words: int
    def __init__(self, language: _Optional[str] = ..., voice: _Optional[str] = ..., persona: _Optional[str] = ..., sample_rate_hz: _Optional[int] = ..., reports_playback: _Optional[bool] = ..., turn_detection: _Optional[_Union[TurnDetection, str]] = ..., ticket: _Optional[str] = ..., patience: _Optional[float] = ..., take_over: _Optional[bool] = ..., received: _Optional[_Union[ReplyReceived, _Mapping]] = ..., word_times: _Optional[bool] = ..., session_id: _Optional[str] = ..., person_id: _Optional[str] = ..., played: _Optional[_Union[PlaybackProgress, _Mapping]] = ..., waits: _Optional[bool] = ..., barge_in_stop_ms: _Optional[int] = ..., barge_in_min_words: _Optional[int] = ...) -> None: ...

class ReplyReceived(_message.Message):
    __slots__ = ("turn_id", "offset_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    offset_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., offset_ms: _Optional[int] = ...) -> None: ...

class MicrophoneAudio(_message.Message):
    __slots__ = ("pcm",)
    PCM_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    def __init__(self, pcm: _Optional[bytes] = ...) -> None: ...

class EndTurn(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TextInput(_message.Message):
    __slots__ = ("text", "replaces_turn_id")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REPLACES_TURN_ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    replaces_turn_id: int
    def __init__(self, text: _Optional[str] = ..., replaces_turn_id: _Optional[int] = ...) -> None: ...

class SpeakAgain(_message.Message):
    __slots__ = ("turn_id", "from_cut")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_CUT_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    from_cut: bool
    def __init__(self, turn_id: _Optional[int] = ..., from_cut: _Optional[bool] = ...) -> None: ...

class Interrupt(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Pause(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resume(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetPersona(_message.Message):
    __slots__ = ("persona",)
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    persona: str
    def __init__(self, persona: _Optional[str] = ...) -> None: ...

class SetVoice(_message.Message):
    __slots__ = ("voice",)
    VOICE_FIELD_NUMBER: _ClassVar[int]
    voice: str
    def __init__(self, voice: _Optional[str] = ...) -> None: ...

class SetLanguage(_message.Message):
    __slots__ = ("language",)
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    language: str
    def __init__(self, language: _Optional[str] = ...) -> None: ...

class SetStyle(_message.Message):
    __slots__ = ("pace", "warmth", "humour", "energy")
    PACE_FIELD_NUMBER: _ClassVar[int]
    WARMTH_FIELD_NUMBER: _ClassVar[int]
    HUMOUR_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    pace: float
    warmth: float
    humour: float
    energy: float
    def __init__(self, pace: _Optional[float] = ..., warmth: _Optional[float] = ..., humour: _Optional[float] = ..., energy: _Optional[float] = ...) -> None: ...

class SetPatience(_message.Message):
    __slots__ = ("patience",)
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    patience: float
    def __init__(self, patience: _Optional[float] = ...) -> None: ...

class SetBargeIn(_message.Message):
    __slots__ = ("stop_ms", "min_words")
    STOP_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_WORDS_FIELD_NUMBER: _ClassVar[int]
    stop_ms: int
    min_words: int
    def __init__(self, stop_ms: _Optional[int] = ..., min_words: _Optional[int] = ...) -> None: ...

class PlaybackProgress(_message.Message):
    __slots__ = ("turn_id", "played_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYED_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    played_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., played_ms: _Optional[int] = ...) -> None: ...

class RequestStatus(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetSpeechActivity(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("ping_id",)
    PING_ID_FIELD_NUMBER: _ClassVar[int]
    ping_id: int
    def __init__(self, ping_id: _Optional[int] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("session_started", "speech_started", "speech_stopped", "partial_transcript", "final_transcript", "turn_end_predicted", "turn_committed", "reply_started", "reply_text", "reply_audio", "anchor_audio", "speech_mark", "playback_pause", "playback_resume", "playback_stop", "reply_audio_ended", "reply_finished", "turn_failed", "latency_waterfall", "system_status", "session_updated", "error", "session_ended", "barge_in_settled", "choices", "service_notice", "reply_sources", "turn_saved", "admission", "turn_spoken", "pong", "speech_activity")
    SESSION_STARTED_FIELD_NUMBER: _ClassVar[int]
    SPEECH_STARTED_FIELD_NUMBER: _ClassVar[int]
    SPEECH_STOPPED_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    FINAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    TURN_END_PREDICTED_FIELD_NUMBER: _ClassVar[int]
    TURN_COMMITTED_FIELD_NUMBER: _ClassVar[int]
    REPLY_STARTED_FIELD_NUMBER: _ClassVar[int]
    REPLY_TEXT_FIELD_NUMBER: _ClassVar[int]
    REPLY_AUDIO_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_AUDIO_FIELD_NUMBER: _ClassVar[int]
    SPEECH_MARK_FIELD_NUMBER: _ClassVar[int]
    PLAYBACK_PAUSE_FIELD_NUMBER: _ClassVar[int]
    PLAYBACK_RESUME_FIELD_NUMBER: _ClassVar[int]
    PLAYBACK_STOP_FIELD_NUMBER: _ClassVar[int]
    REPLY_AUDIO_ENDED_FIELD_NUMBER: _ClassVar[int]
    REPLY_FINISHED_FIELD_NUMBER: _ClassVar[int]
    TURN_FAILED_FIELD_NUMBER: _ClassVar[int]
    LATENCY_WATERFALL_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_STATUS_FIELD_NUMBER: _ClassVar[int]
    SESSION_UPDATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SESSION_ENDED_FIELD_NUMBER: _ClassVar[int]
    BARGE_IN_SETTLED_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    SERVICE_NOTICE_FIELD_NUMBER: _ClassVar[int]
    REPLY_SOURCES_FIELD_NUMBER: _ClassVar[int]
    TURN_SAVED_FIELD_NUMBER: _ClassVar[int]
    ADMISSION_FIELD_NUMBER: _ClassVar[int]
    TURN_SPOKEN_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    SPEECH_ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    session_started: SessionStarted
    speech_started: SpeechStarted
    speech_stopped: SpeechStopped
    partial_transcript: PartialTranscript
    final_transcript: FinalTranscript
    turn_end_predicted: TurnEndPredicted
    turn_committed: TurnCommitted
    reply_started: ReplyStarted
    reply_text: ReplyText
    reply_audio: ReplyAudio
    anchor_audio: AnchorAudio
    speech_mark: SpeechMark
    playback_pause: PlaybackPause
    playback_resume: PlaybackResume
    playback_stop: PlaybackStop
    reply_audio_ended: ReplyAudioEnded
    reply_finished: ReplyFinished
    turn_failed: TurnFailed
    latency_waterfall: LatencyWaterfall
    system_status: SystemStatus
    session_updated: SessionUpdated
    error: Error
    session_ended: SessionEnded
    barge_in_settled: BargeInSettled
    choices: Choices
    service_notice: ServiceNotice
    reply_sources: ReplySources
    turn_saved: TurnSaved
    admission: Admission
    turn_spoken: TurnSpoken
    pong: Pong
    speech_activity: SpeechActivity
    def __init__(self, session_started: _Optional[_Union[SessionStarted, _Mapping]] = ..., speech_started: _Optional[_Union[SpeechStarted, _Mapping]] = ..., speech_stopped: _Optional[_Union[SpeechStopped, _Mapping]] = ..., partial_transcript: _Optional[_Union[PartialTranscript, _Mapping]] = ..., final_transcript: _Optional[_Union[FinalTranscript, _Mapping]] = ..., turn_end_predicted: _Optional[_Union[TurnEndPredicted, _Mapping]] = ..., turn_committed: _Optional[_Union[TurnCommitted, _Mapping]] = ..., reply_started: _Optional[_Union[ReplyStarted, _Mapping]] = ..., reply_text: _Optional[_Union[ReplyText, _Mapping]] = ..., reply_audio: _Optional[_Union[ReplyAudio, _Mapping]] = ..., anchor_audio: _Optional[_Union[AnchorAudio, _Mapping]] = ..., speech_mark: _Optional[_Union[SpeechMark, _Mapping]] = ..., playback_pause: _Optional[_Union[PlaybackPause, _Mapping]] = ..., playback_resume: _Optional[_Union[PlaybackResume, _Mapping]] = ..., playback_stop: _Optional[_Union[PlaybackStop, _Mapping]] = ..., reply_audio_ended: _Optional[_Union[ReplyAudioEnded, _Mapping]] = ..., reply_finished: _Optional[_Union[ReplyFinished, _Mapping]] = ..., turn_failed: _Optional[_Union[TurnFailed, _Mapping]] = ..., latency_waterfall: _Optional[_Union[LatencyWaterfall, _Mapping]] = ..., system_status: _Optional[_Union[SystemStatus, _Mapping]] = ..., session_updated: _Optional[_Union[SessionUpdated, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., session_ended: _Optional[_Union[SessionEnded, _Mapping]] = ..., barge_in_settled: _Optional[_Union[BargeInSettled, _Mapping]] = ..., choices: _Optional[_Union[Choices, _Mapping]] = ..., service_notice: _Optional[_Union[ServiceNotice, _Mapping]] = ..., reply_sources: _Optional[_Union[ReplySources, _Mapping]] = ..., turn_saved: _Optional[_Union[TurnSaved, _Mapping]] = ..., admission: _Optional[_Union[Admission, _Mapping]] = ..., turn_spoken: _Optional[_Union[TurnSpoken, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., speech_activity: _Optional[_Union[SpeechActivity, _Mapping]] = ...) -> None: ...

class SessionStarted(_message.Message):
    __slots__ = ("session_id", "ticket", "language", "voice", "persona", "microphone_sample_rate_hz", "anchor_sample_rate_hz", "resumed", "patience", "retention_days", "sent_unix_s", "barge_in")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    MICROPHONE_SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    SENT_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    BARGE_IN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    ticket: str
    language: str
    voice: str
    persona: str
    microphone_sample_rate_hz: int
    anchor_sample_rate_hz: int
    resumed: bool
    patience: float
    retention_days: int
    sent_unix_s: float
    barge_in: BargeIn
    def __init__(self, session_id: _Optional[str] = ..., ticket: _Optional[str] = ..., language: _Optional[str] = ..., voice: _Optional[str] = ..., persona: _Optional[str] = ..., microphone_sample_rate_hz: _Optional[int] = ..., anchor_sample_rate_hz: _Optional[int] = ..., resumed: _Optional[bool] = ..., patience: _Optional[float] = ..., retention_days: _Optional[int] = ..., sent_unix_s: _Optional[float] = ..., barge_in: _Optional[_Union[BargeIn, _Mapping]] = ...) -> None: ...

class Choices(_message.Message):
    __slots__ = ("languages", "voices", "personas", "sample_questions")
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    VOICES_FIELD_NUMBER: _ClassVar[int]
    PERSONAS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    languages: _containers.RepeatedScalarFieldContainer[str]
    voices: _containers.RepeatedCompositeFieldContainer[VoiceChoice]
    personas: _containers.RepeatedCompositeFieldContainer[PersonaChoice]
    sample_questions: _containers.RepeatedCompositeFieldContainer[SampleQuestions]
    def __init__(self, languages: _Optional[_Iterable[str]] = ..., voices: _Optional[_Iterable[_Union[VoiceChoice, _Mapping]]] = ..., personas: _Optional[_Iterable[_Union[PersonaChoice, _Mapping]]] = ..., sample_questions: _Optional[_Iterable[_Union[SampleQuestions, _Mapping]]] = ...) -> None: ...

class SampleQuestions(_message.Message):
    __slots__ = ("language", "questions")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    language: str
    questions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, language: _Optional[str] = ..., questions: _Optional[_Iterable[str]] = ...) -> None: ...

class VoiceChoice(_message.Message):
    __slots__ = ("id", "name", "languages", "engine", "cloned", "style_fields")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    CLONED_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    engine: str
    cloned: bool
    style_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ..., engine: _Optional[str] = ..., cloned: _Optional[bool] = ..., style_fields: _Optional[_Iterable[str]] = ...) -> None: ...

class PersonaChoice(_message.Message):
    __slots__ = ("id", "name", "description", "voices")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VOICES_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    voices: _containers.RepeatedCompositeFieldContainer[LanguageVoice]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., voices: _Optional[_Iterable[_Union[LanguageVoice, _Mapping]]] = ...) -> None: ...

class LanguageVoice(_message.Message):
    __slots__ = ("language", "voice")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    language: str
    voice: str
    def __init__(self, language: _Optional[str] = ..., voice: _Optional[str] = ...) -> None: ...

class SpeechStarted(_message.Message):
    __slots__ = ("at_ms",)
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    def __init__(self, at_ms: _Optional[int] = ...) -> None: ...

class SpeechStopped(_message.Message):
    __slots__ = ("at_ms",)
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    def __init__(self, at_ms: _Optional[int] = ...) -> None: ...

class PartialTranscript(_message.Message):
    __slots__ = ("turn_id", "text")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    text: str
    def __init__(self, turn_id: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class FinalTranscript(_message.Message):
    __slots__ = ("turn_id", "revision", "text", "language", "confidence", "words", "language_probability")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    revision: int
    text: str
    language: str
    confidence: float
    words: _containers.RepeatedCompositeFieldContainer[Word]
    language_probability: float
    def __init__(self, turn_id: _Optional[int] = ..., revision: _Optional[int] = ..., text: _Optional[str] = ..., language: _Optional[str] = ..., confidence: _Optional[float] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., language_probability: _Optional[float] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("text", "start_ms", "end_ms", "confidence")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    text: str
    start_ms: int
    end_ms: int
    confidence: float
    def __init__(self, text: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class PredictorOpinion(_message.Message):
    __slots__ = ("name", "probability")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    probability: float
    def __init__(self, name: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class TurnEndPredicted(_message.Message):
    __slots__ = ("at_ms", "probability", "predictor", "wait_ms", "patience", "decided_by", "opinions", "silence_ms")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PREDICTOR_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    OPINIONS_FIELD_NUMBER: _ClassVar[int]
    SILENCE_MS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    probability: float
    predictor: str
    wait_ms: int
    patience: float
    decided_by: WaitDecision
    opinions: _containers.RepeatedCompositeFieldContainer[PredictorOpinion]
    silence_ms: int
    def __init__(self, at_ms: _Optional[int] = ..., probability: _Optional[float] = ..., predictor: _Optional[str] = ..., wait_ms: _Optional[int] = ..., patience: _Optional[float] = ..., decided_by: _Optional[_Union[WaitDecision, str]] = ..., opinions: _Optional[_Iterable[_Union[PredictorOpinion, _Mapping]]] = ..., silence_ms: _Optional[int] = ...) -> None: ...

class TurnCommitted(_message.Message):
    __slots__ = ("turn_id", "text", "replaces_turn_id")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REPLACES_TURN_ID_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    text: str
    replaces_turn_id: int
    def __init__(self, turn_id: _Optional[int] = ..., text: _Optional[str] = ..., replaces_turn_id: _Optional[int] = ...) -> None: ...

class ReplyStarted(_message.Message):
    __slots__ = ("turn_id", "engine")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    engine: str
    def __init__(self, turn_id: _Optional[int] = ..., engine: _Optional[str] = ...) -> None: ...

class ReplySources(_message.Message):
    __slots__ = ("turn_id", "sources")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    sources: _containers.RepeatedCompositeFieldContainer[ReplySource]
    def __init__(self, turn_id: _Optional[int] = ..., sources: _Optional[_Iterable[_Union[ReplySource, _Mapping]]] = ...) -> None: ...

class ReplySource(_message.Message):
    __slots__ = ("title", "file", "text", "language")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    title: str
    file: str
    text: str
    language: str
    def __init__(self, title: _Optional[str] = ..., file: _Optional[str] = ..., text: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class ReplyText(_message.Message):
    __slots__ = ("turn_id", "text")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    text: str
    def __init__(self, turn_id: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class ReplyAudio(_message.Message):
    __slots__ = ("turn_id", "offset_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    offset_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., offset_ms: _Optional[int] = ...) -> None: ...

class AnchorAudio(_message.Message):
    __slots__ = ("pcm",)
    PCM_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    def __init__(self, pcm: _Optional[bytes] = ...) -> None: ...

class SpeechMark(_message.Message):
    __slots__ = ("turn_id", "text_start", "text_end", "offset_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_START_FIELD_NUMBER: _ClassVar[int]
    TEXT_END_FIELD_NUMBER: _ClassVar[int]
    OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    text_start: int
    text_end: int
    offset_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., text_start: _Optional[int] = ..., text_end: _Optional[int] = ..., offset_ms: _Optional[int] = ...) -> None: ...

class PlaybackPause(_message.Message):
    __slots__ = ("turn_id",)
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    def __init__(self, turn_id: _Optional[int] = ...) -> None: ...

class PlaybackResume(_message.Message):
    __slots__ = ("turn_id",)
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    def __init__(self, turn_id: _Optional[int] = ...) -> None: ...

class PlaybackStop(_message.Message):
    __slots__ = ("turn_id",)
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    def __init__(self, turn_id: _Optional[int] = ...) -> None: ...

class BargeInSettled(_message.Message):
    __slots__ = ("turn_id", "reply_turn_id", "verdict")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_TURN_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    reply_turn_id: int
    verdict: BargeInVerdict
    def __init__(self, turn_id: _Optional[int] = ..., reply_turn_id: _Optional[int] = ..., verdict: _Optional[_Union[BargeInVerdict, str]] = ...) -> None: ...

class ReplyAudioEnded(_message.Message):
    __slots__ = ("turn_id", "duration_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    duration_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., duration_ms: _Optional[int] = ...) -> None: ...

class ReplyFinished(_message.Message):
    __slots__ = ("turn_id", "heard_text", "heard_ms", "interrupted", "estimated")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    HEARD_TEXT_FIELD_NUMBER: _ClassVar[int]
    HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    heard_text: str
    heard_ms: int
    interrupted: bool
    estimated: bool
    def __init__(self, turn_id: _Optional[int] = ..., heard_text: _Optional[str] = ..., heard_ms: _Optional[int] = ..., interrupted: _Optional[bool] = ..., estimated: _Optional[bool] = ...) -> None: ...

class TurnSpoken(_message.Message):
    __slots__ = ("turn_id", "user_began_unix_s", "user_ended_unix_s", "reply_began_unix_s", "reply_ended_unix_s", "persona", "speaker", "voice", "language")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    USER_BEGAN_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    USER_ENDED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    REPLY_BEGAN_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    REPLY_ENDED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    user_began_unix_s: float
    user_ended_unix_s: float
    reply_began_unix_s: float
    reply_ended_unix_s: float
    persona: str
    speaker: str
    voice: str
    language: str
    def __init__(self, turn_id: _Optional[int] = ..., user_began_unix_s: _Optional[float] = ..., user_ended_unix_s: _Optional[float] = ..., reply_began_unix_s: _Optional[float] = ..., reply_ended_unix_s: _Optional[float] = ..., persona: _Optional[str] = ..., speaker: _Optional[str] = ..., voice: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class TurnSaved(_message.Message):
    __slots__ = ("turn_id", "heard_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    heard_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., heard_ms: _Optional[int] = ...) -> None: ...

class TurnFailed(_message.Message):
    __slots__ = ("turn_id", "code", "message")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    code: str
    message: str
    def __init__(self, turn_id: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class LatencyWaterfall(_message.Message):
    __slots__ = ("turn_id", "speech_end_ms", "speech_stopped_ms", "final_transcript_ms", "turn_committed_ms", "first_token_ms", "first_phrase_ms", "first_audio_ms", "first_frame_sent_ms", "first_sample_heard_ms", "budget_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    SPEECH_END_MS_FIELD_NUMBER: _ClassVar[int]
    SPEECH_STOPPED_MS_FIELD_NUMBER: _ClassVar[int]
    FINAL_TRANSCRIPT_MS_FIELD_NUMBER: _ClassVar[int]
    TURN_COMMITTED_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_PHRASE_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_SENT_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    speech_end_ms: int
    speech_stopped_ms: int
    final_transcript_ms: int
    turn_committed_ms: int
    first_token_ms: int
    first_phrase_ms: int
    first_audio_ms: int
    first_frame_sent_ms: int
    first_sample_heard_ms: int
    budget_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., speech_end_ms: _Optional[int] = ..., speech_stopped_ms: _Optional[int] = ..., final_transcript_ms: _Optional[int] = ..., turn_committed_ms: _Optional[int] = ..., first_token_ms: _Optional[int] = ..., first_phrase_ms: _Optional[int] = ..., first_audio_ms: _Optional[int] = ..., first_frame_sent_ms: _Optional[int] = ..., first_sample_heard_ms: _Optional[int] = ..., budget_ms: _Optional[int] = ...) -> None: ...

class SystemStatus(_message.Message):
    __slots__ = ("services", "gpu", "degraded")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServiceStatus]
    gpu: GpuStatus
    degraded: _containers.RepeatedCompositeFieldContainer[Degradation]
    def __init__(self, services: _Optional[_Iterable[_Union[ServiceStatus, _Mapping]]] = ..., gpu: _Optional[_Union[GpuStatus, _Mapping]] = ..., degraded: _Optional[_Iterable[_Union[Degradation, _Mapping]]] = ...) -> None: ...

class Degradation(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ServiceStatus(_message.Message):
    __slots__ = ("service", "health", "engine", "model", "version", "languages")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    service: str
    health: ServiceHealth
    engine: str
    model: str
    version: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., health: _Optional[_Union[ServiceHealth, str]] = ..., engine: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ...) -> None: ...

class GpuStatus(_message.Message):
    __slots__ = ("present", "unavailable_reason", "memory_total_mib", "memory_used_mib", "services", "pressure", "temperature_celsius")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_MIB_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_MIB_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    present: bool
    unavailable_reason: str
    memory_total_mib: int
    memory_used_mib: int
    services: _containers.RepeatedCompositeFieldContainer[GpuServiceMemory]
    pressure: GpuPressure
    temperature_celsius: int
    def __init__(self, present: _Optional[bool] = ..., unavailable_reason: _Optional[str] = ..., memory_total_mib: _Optional[int] = ..., memory_used_mib: _Optional[int] = ..., services: _Optional[_Iterable[_Union[GpuServiceMemory, _Mapping]]] = ..., pressure: _Optional[_Union[GpuPressure, str]] = ..., temperature_celsius: _Optional[int] = ...) -> None: ...

class GpuServiceMemory(_message.Message):
    __slots__ = ("service", "used_mib", "planned_mib", "leaking")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    USED_MIB_FIELD_NUMBER: _ClassVar[int]
    PLANNED_MIB_FIELD_NUMBER: _ClassVar[int]
    LEAKING_FIELD_NUMBER: _ClassVar[int]
    service: str
    used_mib: int
    planned_mib: int
    leaking: bool
    def __init__(self, service: _Optional[str] = ..., used_mib: _Optional[int] = ..., planned_mib: _Optional[int] = ..., leaking: _Optional[bool] = ...) -> None: ...

class SessionUpdated(_message.Message):
    __slots__ = ("language", "voice", "persona", "patience", "style", "barge_in")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    PERSONA_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    BARGE_IN_FIELD_NUMBER: _ClassVar[int]
    language: str
    voice: str
    persona: str
    patience: float
    style: Style
    barge_in: BargeIn
    def __init__(self, language: _Optional[str] = ..., voice: _Optional[str] = ..., persona: _Optional[str] = ..., patience: _Optional[float] = ..., style: _Optional[_Union[Style, _Mapping]] = ..., barge_in: _Optional[_Union[BargeIn, _Mapping]] = ...) -> None: ...

class BargeIn(_message.Message):
    __slots__ = ("stop_ms", "min_words")
    STOP_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_WORDS_FIELD_NUMBER: _ClassVar[int]
    stop_ms: int
    min_words: int
    def __init__(self, stop_ms: _Optional[int] = ..., min_words: _Optional[int] = ...) -> None: ...

class Style(_message.Message):
    __slots__ = ("pace", "warmth", "humour", "energy")
    PACE_FIELD_NUMBER: _ClassVar[int]
    WARMTH_FIELD_NUMBER: _ClassVar[int]
    HUMOUR_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    pace: float
    warmth: float
    humour: float
    energy: float
    def __init__(self, pace: _Optional[float] = ..., warmth: _Optional[float] = ..., humour: _Optional[float] = ..., energy: _Optional[float] = ...) -> None: ...

class ServiceNotice(_message.Message):
    __slots__ = ("code", "active", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    active: bool
    message: str
    def __init__(self, code: _Optional[str] = ..., active: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "retryable", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retryable: bool
    retry_after_s: int
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ..., retry_after_s: _Optional[int] = ...) -> None: ...

class SpeechActivity(_message.Message):
    __slots__ = ("at_ms", "probability")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    probability: float
    def __init__(self, at_ms: _Optional[int] = ..., probability: _Optional[float] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("ping_id",)
    PING_ID_FIELD_NUMBER: _ClassVar[int]
    ping_id: int
    def __init__(self, ping_id: _Optional[int] = ...) -> None: ...

class Admission(_message.Message):
    __slots__ = ("state", "position", "expected_wait_s")
    STATE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    state: AdmissionState
    position: int
    expected_wait_s: int
    def __init__(self, state: _Optional[_Union[AdmissionState, str]] = ..., position: _Optional[int] = ..., expected_wait_s: _Optional[int] = ...) -> None: ...

class SessionEnded(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
