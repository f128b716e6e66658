from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AudioChunk(_message.Message):
    __slots__ = ("start_ms", "pcm")
    START_MS_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    start_ms: int
    pcm: bytes
    def __init__(self, start_ms: _Optional[int] = ..., pcm: _Optional[bytes] = ...) -> None: ...
