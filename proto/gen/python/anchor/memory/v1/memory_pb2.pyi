from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EngineState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENGINE_STATE_UNSPECIFIED: _ClassVar[EngineState]
    ENGINE_STATE_AWAKE: _ClassVar[EngineState]
    ENGINE_STATE_PARKED: _ClassVar[EngineState]
    ENGINE_STATE_MOVING: _ClassVar[EngineState]

class MemoryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEMORY_KIND_UNSPECIFIED: _ClassVar[MemoryKind]
    MEMORY_KIND_WEIGHTS: _ClassVar[MemoryKind]
    MEMORY_KIND_KV_CACHE: _ClassVar[MemoryKind]
    MEMORY_KIND_WORKSPACE: _ClassVar[MemoryKind]
    MEMORY_KIND_CONTEXT: _ClassVar[MemoryKind]
ENGINE_STATE_UNSPECIFIED: EngineState
ENGINE_STATE_AWAKE: EngineState
ENGINE_STATE_PARKED: EngineState
ENGINE_STATE_MOVING: EngineState
MEMORY_KIND_UNSPECIFIED: MemoryKind
MEMORY_KIND_WEIGHTS: MemoryKind
MEMORY_KIND_KV_CACHE: MemoryKind
MEMORY_KIND_WORKSPACE: MemoryKind
MEMORY_KIND_CONTEXT: MemoryKind

class GetMemoryRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMemoryResponse(_message.Message):
    __slots__ = ("state", "parkable", "model", "parts", "container_id")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARKABLE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    state: EngineState
    parkable: bool
    model: str
    parts: _containers.RepeatedCompositeFieldContainer[MemoryPart]
    container_id: str
    def __init__(self, state: _Optional[_Union[EngineState, str]] = ..., parkable: _Optional[bool] = ..., model: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[MemoryPart, _Mapping]]] = ..., container_id: _Optional[str] = ...) -> None: ...

class MemoryPart(_message.Message):
    __slots__ = ("kind", "bytes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    kind: MemoryKind
    bytes: int
    def __init__(self, kind: _Optional[_Union[MemoryKind, str]] = ..., bytes: _Optional[int] = ...) -> None: ...

class ParkRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ParkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WakeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WakeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
