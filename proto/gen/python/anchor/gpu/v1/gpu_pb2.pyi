from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GpuAvailability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GPU_AVAILABILITY_UNSPECIFIED: _ClassVar[GpuAvailability]
    GPU_AVAILABILITY_PRESENT: _ClassVar[GpuAvailability]
    GPU_AVAILABILITY_ABSENT: _ClassVar[GpuAvailability]
    GPU_AVAILABILITY_LOST: _ClassVar[GpuAvailability]

class PressureLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRESSURE_LEVEL_UNSPECIFIED: _ClassVar[PressureLevel]
    PRESSURE_LEVEL_NONE: _ClassVar[PressureLevel]
    PRESSURE_LEVEL_HIGH: _ClassVar[PressureLevel]
    PRESSURE_LEVEL_CRITICAL: _ClassVar[PressureLevel]
GPU_AVAILABILITY_UNSPECIFIED: GpuAvailability
GPU_AVAILABILITY_PRESENT: GpuAvailability
GPU_AVAILABILITY_ABSENT: GpuAvailability
GPU_AVAILABILITY_LOST: GpuAvailability
PRESSURE_LEVEL_UNSPECIFIED: PressureLevel
PRESSURE_LEVEL_NONE: PressureLevel
PRESSURE_LEVEL_HIGH: PressureLevel
PRESSURE_LEVEL_CRITICAL: PressureLevel

class WatchRequest(_message.Message):
    __slots__ = ("interval_ms",)
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    interval_ms: int
    def __init__(self, interval_ms: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("report", "pressure_changed")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    report: GpuReport
    pressure_changed: PressureChanged
    def __init__(self, report: _Optional[_Union[GpuReport, _Mapping]] = ..., pressure_changed: _Optional[_Union[PressureChanged, _Mapping]] = ...) -> None: ...

class GpuReport(_message.Message):
    __slots__ = ("availability", "unavailable_reason", "devices", "read_at_unix_ms")
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    READ_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    availability: GpuAvailability
    unavailable_reason: str
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    read_at_unix_ms: int
    def __init__(self, availability: _Optional[_Union[GpuAvailability, str]] = ..., unavailable_reason: _Optional[str] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., read_at_unix_ms: _Optional[int] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("index", "uuid", "name", "memory_total_bytes", "memory_used_bytes", "memory_budget_bytes", "utilisation", "temperature_celsius", "power_watts", "processes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BUDGET_BYTES_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    POWER_WATTS_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    index: int
    uuid: str
    name: str
    memory_total_bytes: int
    memory_used_bytes: int
    memory_budget_bytes: int
    utilisation: float
    temperature_celsius: int
    power_watts: float
    processes: _containers.RepeatedCompositeFieldContainer[GpuProcess]
    def __init__(self, index: _Optional[int] = ..., uuid: _Optional[str] = ..., name: _Optional[str] = ..., memory_total_bytes: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., memory_budget_bytes: _Optional[int] = ..., utilisation: _Optional[float] = ..., temperature_celsius: _Optional[int] = ..., power_watts: _Optional[float] = ..., processes: _Optional[_Iterable[_Union[GpuProcess, _Mapping]]] = ...) -> None: ...

class GpuProcess(_message.Message):
    __slots__ = ("pid", "name", "service", "memory_used_bytes")
    PID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    pid: int
    name: str
    service: str
    memory_used_bytes: int
    def __init__(self, pid: _Optional[int] = ..., name: _Optional[str] = ..., service: _Optional[str] = ..., memory_used_bytes: _Optional[int] = ...) -> None: ...

class PressureChanged(_message.Message):
    __slots__ = ("device_index", "level", "used_share")
    DEVICE_INDEX_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    USED_SHARE_FIELD_NUMBER: _ClassVar[int]
    device_index: int
    level: PressureLevel
    used_share: float
    def __init__(self, device_index: _Optional[int] = ..., level: _Optional[_Union[PressureLevel, str]] = ..., used_share: _Optional[float] = ...) -> None: ...

class GetPlanRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPlanResponse(_message.Message):
    __slots__ = ("services", "total_bytes")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[PlannedMemory]
    total_bytes: int
    def __init__(self, services: _Optional[_Iterable[_Union[PlannedMemory, _Mapping]]] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class PlannedMemory(_message.Message):
    __slots__ = ("service", "model", "weights_bytes", "kv_cache_bytes", "activations_bytes", "context_bytes")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_CACHE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVATIONS_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    service: str
    model: str
    weights_bytes: int
    kv_cache_bytes: int
    activations_bytes: int
    context_bytes: int
    def __init__(self, service: _Optional[str] = ..., model: _Optional[str] = ..., weights_bytes: _Optional[int] = ..., kv_cache_bytes: _Optional[int] = ..., activations_bytes: _Optional[int] = ..., context_bytes: _Optional[int] = ...) -> None: ...
