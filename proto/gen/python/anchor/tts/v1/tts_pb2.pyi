from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SynthesizeRequest(_message.Message):
    __slots__ = ("config", "text", "end_of_text")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    END_OF_TEXT_FIELD_NUMBER: _ClassVar[int]
    config: SynthesisConfig
    text: TextDelta
    end_of_text: EndOfText
    def __init__(self, config: _Optional[_Union[SynthesisConfig, _Mapping]] = ..., text: _Optional[_Union[TextDelta, _Mapping]] = ..., end_of_text: _Optional[_Union[EndOfText, _Mapping]] = ...) -> None: ...

class SynthesisConfig(_message.Message):
    __slots__ = ("voice", "language", "style", "paced_by_text")
    VOICE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    PACED_BY_TEXT_FIELD_NUMBER: _ClassVar[int]
    voice: str
    language: str
    style: SpeechStyle
    paced_by_text: bool
    def __init__(self, voice: _Optional[str] = ..., language: _Optional[str] = ..., style: _Optional[_Union[SpeechStyle, _Mapping]] = ..., paced_by_text: _Optional[bool] = ...) -> None: ...

class SpeechStyle(_message.Message):
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

class TextDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class EndOfText(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SynthesizeResponse(_message.Message):
    __slots__ = ("audio", "speech_mark", "phrase_started")
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    SPEECH_MARK_FIELD_NUMBER: _ClassVar[int]
    PHRASE_STARTED_FIELD_NUMBER: _ClassVar[int]
    audio: SpeechAudio
    speech_mark: SpeechMark
    phrase_started: PhraseStarted
    def __init__(self, audio: _Optional[_Union[SpeechAudio, _Mapping]] = ..., speech_mark: _Optional[_Union[SpeechMark, _Mapping]] = ..., phrase_started: _Optional[_Union[PhraseStarted, _Mapping]] = ...) -> None: ...

class SpeechAudio(_message.Message):
    __slots__ = ("offset_ms", "pcm")
    OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    offset_ms: int
    pcm: bytes
    def __init__(self, offset_ms: _Optional[int] = ..., pcm: _Optional[bytes] = ...) -> None: ...

class SpeechMark(_message.Message):
    __slots__ = ("text_start", "text_end", "offset_ms")
    TEXT_START_FIELD_NUMBER: _ClassVar[int]
    TEXT_END_FIELD_NUMBER: _ClassVar[int]
    OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    text_start: int
    text_end: int
    offset_ms: int
    def __init__(self, text_start: _Optional[int] = ..., text_end: _Optional[int] = ..., offset_ms: _Optional[int] = ...) -> None: ...

class PhraseStarted(_message.Message):
    __slots__ = ("text_start", "text_end")
    TEXT_START_FIELD_NUMBER: _ClassVar[int]
    TEXT_END_FIELD_NUMBER: _ClassVar[int]
    text_start: int
    text_end: int
    def __init__(self, text_start: _Optional[int] = ..., text_end: _Optional[int] = ...) -> None: ...

class Voice(_message.Message):
    __slots__ = ("id", "name", "languages", "engine", "cloned", "consent", "created_unix_s", "style_fields")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    CLONED_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    engine: str
    cloned: bool
    consent: VoiceConsent
    created_unix_s: int
    style_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ..., engine: _Optional[str] = ..., cloned: _Optional[bool] = ..., consent: _Optional[_Union[VoiceConsent, _Mapping]] = ..., created_unix_s: _Optional[int] = ..., style_fields: _Optional[_Iterable[str]] = ...) -> None: ...

class VoiceConsent(_message.Message):
    __slots__ = ("id", "name", "statement", "recording_wav", "language", "given_unix_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    RECORDING_WAV_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    statement: str
    recording_wav: bytes
    language: str
    given_unix_s: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., statement: _Optional[str] = ..., recording_wav: _Optional[bytes] = ..., language: _Optional[str] = ..., given_unix_s: _Optional[int] = ...) -> None: ...

class CloningSupport(_message.Message):
    __slots__ = ("languages", "unavailable_reason")
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    languages: _containers.RepeatedScalarFieldContainer[str]
    unavailable_reason: str
    def __init__(self, languages: _Optional[_Iterable[str]] = ..., unavailable_reason: _Optional[str] = ...) -> None: ...

class ListVoicesRequest(_message.Message):
    __slots__ = ("language",)
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    language: str
    def __init__(self, language: _Optional[str] = ...) -> None: ...

class ListVoicesResponse(_message.Message):
    __slots__ = ("voices", "cloning")
    VOICES_FIELD_NUMBER: _ClassVar[int]
    CLONING_FIELD_NUMBER: _ClassVar[int]
    voices: _containers.RepeatedCompositeFieldContainer[Voice]
    cloning: CloningSupport
    def __init__(self, voices: _Optional[_Iterable[_Union[Voice, _Mapping]]] = ..., cloning: _Optional[_Union[CloningSupport, _Mapping]] = ...) -> None: ...

class AddVoiceRequest(_message.Message):
    __slots__ = ("name", "reference_wav", "reference_transcript", "language", "consent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_WAV_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    reference_wav: bytes
    reference_transcript: str
    language: str
    consent: VoiceConsent
    def __init__(self, name: _Optional[str] = ..., reference_wav: _Optional[bytes] = ..., reference_transcript: _Optional[str] = ..., language: _Optional[str] = ..., consent: _Optional[_Union[VoiceConsent, _Mapping]] = ...) -> None: ...

class AddVoiceResponse(_message.Message):
    __slots__ = ("voice",)
    VOICE_FIELD_NUMBER: _ClassVar[int]
    voice: Voice
    def __init__(self, voice: _Optional[_Union[Voice, _Mapping]] = ...) -> None: ...

class DeleteVoiceRequest(_message.Message):
    __slots__ = ("voice_id",)
    VOICE_ID_FIELD_NUMBER: _ClassVar[int]
    voice_id: str
    def __init__(self, voice_id: _Optional[str] = ...) -> None: ...

class DeleteVoiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
