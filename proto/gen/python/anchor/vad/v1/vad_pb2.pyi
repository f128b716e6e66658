from anchor.audio.v1 import audio_pb2 as _audio_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DetectRequest(_message.Message):
    __slots__ = ("config", "audio", "partial_transcript", "traced_turn", "prediction_depth", "activity_interval")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    TRACED_TURN_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_DEPTH_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    config: DetectionConfig
    audio: _audio_pb2.AudioChunk
    partial_transcript: PartialTranscript
    traced_turn: TracedTurn
    prediction_depth: PredictionDepth
    activity_interval: ActivityInterval
    def __init__(self, config: _Optional[_Union[DetectionConfig, _Mapping]] = ..., audio: _Optional[_Union[_audio_pb2.AudioChunk, _Mapping]] = ..., partial_transcript: _Optional[_Union[PartialTranscript, _Mapping]] = ..., traced_turn: _Optional[_Union[TracedTurn, _Mapping]] = ..., prediction_depth: _Optional[_Union[PredictionDepth, _Mapping]] = ..., activity_interval: _Optional[_Union[ActivityInterval, _Mapping]] = ...) -> None: ...

class DetectionConfig(_message.Message):
    __slots__ = ("sample_rate_hz", "language", "activity_interval_ms")
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    sample_rate_hz: int
    language: str
    activity_interval_ms: int
    def __init__(self, sample_rate_hz: _Optional[int] = ..., language: _Optional[str] = ..., activity_interval_ms: _Optional[int] = ...) -> None: ...

class PartialTranscript(_message.Message):
    __slots__ = ("text", "end_ms", "language")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    end_ms: int
    language: str
    def __init__(self, text: _Optional[str] = ..., end_ms: _Optional[int] = ..., language: _Optional[str] = ...) -> None: ...

class PredictionDepth(_message.Message):
    __slots__ = ("full",)
    FULL_FIELD_NUMBER: _ClassVar[int]
    full: bool
    def __init__(self, full: _Optional[bool] = ...) -> None: ...

class ActivityInterval(_message.Message):
    __slots__ = ("interval_ms",)
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    interval_ms: int
    def __init__(self, interval_ms: _Optional[int] = ...) -> None: ...

class TracedTurn(_message.Message):
    __slots__ = ("traceparent",)
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    traceparent: str
    def __init__(self, traceparent: _Optional[str] = ...) -> None: ...

class DetectResponse(_message.Message):
    __slots__ = ("speech_started", "speech_stopped", "turn_end_predicted", "activity")
    SPEECH_STARTED_FIELD_NUMBER: _ClassVar[int]
    SPEECH_STOPPED_FIELD_NUMBER: _ClassVar[int]
    TURN_END_PREDICTED_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    speech_started: SpeechStarted
    speech_stopped: SpeechStopped
    turn_end_predicted: TurnEndPredicted
    activity: Activity
    def __init__(self, speech_started: _Optional[_Union[SpeechStarted, _Mapping]] = ..., speech_stopped: _Optional[_Union[SpeechStopped, _Mapping]] = ..., turn_end_predicted: _Optional[_Union[TurnEndPredicted, _Mapping]] = ..., activity: _Optional[_Union[Activity, _Mapping]] = ...) -> None: ...

class SpeechStarted(_message.Message):
    __slots__ = ("at_ms", "pre_roll_start_ms")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    PRE_ROLL_START_MS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    pre_roll_start_ms: int
    def __init__(self, at_ms: _Optional[int] = ..., pre_roll_start_ms: _Optional[int] = ...) -> None: ...

class SpeechStopped(_message.Message):
    __slots__ = ("at_ms",)
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    def __init__(self, at_ms: _Optional[int] = ...) -> None: ...

class TurnEndPredicted(_message.Message):
    __slots__ = ("at_ms", "silence_ms", "probability", "predictor", "opinions")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    SILENCE_MS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PREDICTOR_FIELD_NUMBER: _ClassVar[int]
    OPINIONS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    silence_ms: int
    probability: float
    predictor: str
    opinions: _containers.RepeatedCompositeFieldContainer[PredictorOpinion]
    def __init__(self, at_ms: _Optional[int] = ..., silence_ms: _Optional[int] = ..., probability: _Optional[float] = ..., predictor: _Optional[str] = ..., opinions: _Optional[_Iterable[_Union[PredictorOpinion, _Mapping]]] = ...) -> None: ...

class PredictorOpinion(_message.Message):
    __slots__ = ("name", "probability")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    probability: float
    def __init__(self, name: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class Activity(_message.Message):
    __slots__ = ("at_ms", "probability")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    probability: float
    def __init__(self, at_ms: _Optional[int] = ..., probability: _Optional[float] = ...) -> None: ...
