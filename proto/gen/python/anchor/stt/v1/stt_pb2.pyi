from anchor.audio.v1 import audio_pb2 as _audio_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LanguageSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANGUAGE_SOURCE_UNSPECIFIED: _ClassVar[LanguageSource]
    LANGUAGE_SOURCE_CONFIG: _ClassVar[LanguageSource]
    LANGUAGE_SOURCE_ENGINE: _ClassVar[LanguageSource]
    LANGUAGE_SOURCE_TEXT: _ClassVar[LanguageSource]
LANGUAGE_SOURCE_UNSPECIFIED: LanguageSource
LANGUAGE_SOURCE_CONFIG: LanguageSource
LANGUAGE_SOURCE_ENGINE: LanguageSource
LANGUAGE_SOURCE_TEXT: LanguageSource

class TranscribeRequest(_message.Message):
    __slots__ = ("config", "audio", "flush", "commit")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    config: TranscriptionConfig
    audio: _audio_pb2.AudioChunk
    flush: Flush
    commit: Commit
    def __init__(self, config: _Optional[_Union[TranscriptionConfig, _Mapping]] = ..., audio: _Optional[_Union[_audio_pb2.AudioChunk, _Mapping]] = ..., flush: _Optional[_Union[Flush, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ...) -> None: ...

class TranscriptionConfig(_message.Message):
    __slots__ = ("language", "sample_rate_hz", "partial_transcripts", "working_interval_ms")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_TRANSCRIPTS_FIELD_NUMBER: _ClassVar[int]
    WORKING_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    language: str
    sample_rate_hz: int
    partial_transcripts: bool
    working_interval_ms: int
    def __init__(self, language: _Optional[str] = ..., sample_rate_hz: _Optional[int] = ..., partial_transcripts: _Optional[bool] = ..., working_interval_ms: _Optional[int] = ...) -> None: ...

class Flush(_message.Message):
    __slots__ = ("segment_id", "traceparent")
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    segment_id: int
    traceparent: str
    def __init__(self, segment_id: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("segment_id",)
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    segment_id: int
    def __init__(self, segment_id: _Optional[int] = ...) -> None: ...

class TranscribeResponse(_message.Message):
    __slots__ = ("partial_transcript", "final_transcript", "working")
    PARTIAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    FINAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    WORKING_FIELD_NUMBER: _ClassVar[int]
    partial_transcript: PartialTranscript
    final_transcript: FinalTranscript
    working: Working
    def __init__(self, partial_transcript: _Optional[_Union[PartialTranscript, _Mapping]] = ..., final_transcript: _Optional[_Union[FinalTranscript, _Mapping]] = ..., working: _Optional[_Union[Working, _Mapping]] = ...) -> None: ...

class Working(_message.Message):
    __slots__ = ("received_ms",)
    RECEIVED_MS_FIELD_NUMBER: _ClassVar[int]
    received_ms: int
    def __init__(self, received_ms: _Optional[int] = ...) -> None: ...

class PartialTranscript(_message.Message):
    __slots__ = ("segment_id", "text", "start_ms", "end_ms", "language", "confidence")
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    segment_id: int
    text: str
    start_ms: int
    end_ms: int
    language: str
    confidence: float
    def __init__(self, segment_id: _Optional[int] = ..., text: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., language: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class FinalTranscript(_message.Message):
    __slots__ = ("segment_id", "revision", "text", "alternatives", "start_ms", "end_ms", "language", "language_source", "confidence", "words", "language_probability")
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    segment_id: int
    revision: int
    text: str
    alternatives: _containers.RepeatedScalarFieldContainer[str]
    start_ms: int
    end_ms: int
    language: str
    language_source: LanguageSource
    confidence: float
    words: _containers.RepeatedCompositeFieldContainer[Word]
    language_probability: float
    def __init__(self, segment_id: _Optional[int] = ..., revision: _Optional[int] = ..., text: _Optional[str] = ..., alternatives: _Optional[_Iterable[str]] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., language: _Optional[str] = ..., language_source: _Optional[_Union[LanguageSource, str]] = ..., confidence: _Optional[float] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., language_probability: _Optional[float] = ...) -> None: ...

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
