from anchor.memory.v1 import memory_pb2 as _memory_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAN_VERDICT_UNSPECIFIED: _ClassVar[PlanVerdict]
    PLAN_VERDICT_WITHIN: _ClassVar[PlanVerdict]
    PLAN_VERDICT_OVER: _ClassVar[PlanVerdict]
    PLAN_VERDICT_UNDER: _ClassVar[PlanVerdict]

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
    PRESSURE_LEVEL_ELEVATED: _ClassVar[PressureLevel]
    PRESSURE_LEVEL_HIGH: _ClassVar[PressureLevel]
    PRESSURE_LEVEL_CRITICAL: _ClassVar[PressureLevel]

class ExhaustionCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXHAUSTION_CAUSE_UNSPECIFIED: _ClassVar[ExhaustionCause]
    EXHAUSTION_CAUSE_GROWTH: _ClassVar[ExhaustionCause]
    EXHAUSTION_CAUSE_PLAN: _ClassVar[ExhaustionCause]
PLAN_VERDICT_UNSPECIFIED: PlanVerdict
PLAN_VERDICT_WITHIN: PlanVerdict
PLAN_VERDICT_OVER: PlanVerdict
PLAN_VERDICT_UNDER: PlanVerdict
GPU_AVAILABILITY_UNSPECIFIED: GpuAvailability
GPU_AVAILABILITY_PRESENT: GpuAvailability
GPU_AVAILABILITY_ABSENT: GpuAvailability
GPU_AVAILABILITY_LOST: GpuAvailability
PRESSURE_LEVEL_UNSPECIFIED: PressureLevel
PRESSURE_LEVEL_NONE: PressureLevel
PRESSURE_LEVEL_ELEVATED: PressureLevel
PRESSURE_LEVEL_HIGH: PressureLevel
PRESSURE_LEVEL_CRITICAL: PressureLevel
EXHAUSTION_CAUSE_UNSPECIFIED: ExhaustionCause
EXHAUSTION_CAUSE_GROWTH: ExhaustionCause
EXHAUSTION_CAUSE_PLAN: ExhaustionCause

class WatchRequest(_message.Message):
    __slots__ = ("interval_ms",)
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    interval_ms: int
    def __init__(self, interval_ms: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("report", "pressure_changed", "plan_verdict_changed", "leak_changed", "exhaustion_changed")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PLAN_VERDICT_CHANGED_FIELD_NUMBER: _ClassVar[int]
    LEAK_CHANGED_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTION_CHANGED_FIELD_NUMBER: _ClassVar[int]
    report: GpuReport
    pressure_changed: PressureChanged
    plan_verdict_changed: PlanVerdictChanged
    leak_changed: LeakChanged
    exhaustion_changed: ExhaustionChanged
    def __init__(self, report: _Optional[_Union[GpuReport, _Mapping]] = ..., pressure_changed: _Optional[_Union[PressureChanged, _Mapping]] = ..., plan_verdict_changed: _Optional[_Union[PlanVerdictChanged, _Mapping]] = ..., leak_changed: _Optional[_Union[LeakChanged, _Mapping]] = ..., exhaustion_changed: _Optional[_Union[ExhaustionChanged, _Mapping]] = ...) -> None: ...

class GpuReport(_message.Message):
    __slots__ = ("availability", "unavailable_reason", "devices", "read_at_unix_ms", "services", "unattributed_bytes")
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    READ_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    UNATTRIBUTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    availability: GpuAvailability
    unavailable_reason: str
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    read_at_unix_ms: int
    services: _containers.RepeatedCompositeFieldContainer[ServiceMemory]
    unattributed_bytes: int
    def __init__(self, availability: _Optional[_Union[GpuAvailability, str]] = ..., unavailable_reason: _Optional[str] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., read_at_unix_ms: _Optional[int] = ..., services: _Optional[_Iterable[_Union[ServiceMemory, _Mapping]]] = ..., unattributed_bytes: _Optional[int] = ...) -> None: ...

class ServiceMemory(_message.Message):
    __slots__ = ("service", "used_bytes", "driver_bytes", "self_report", "unexplained_bytes", "planned_bytes", "verdict", "trend")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRIVER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SELF_REPORT_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLANNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    TREND_FIELD_NUMBER: _ClassVar[int]
    service: str
    used_bytes: int
    driver_bytes: int
    self_report: SelfReport
    unexplained_bytes: int
    planned_bytes: int
    verdict: PlanVerdict
    trend: MemoryTrend
    def __init__(self, service: _Optional[str] = ..., used_bytes: _Optional[int] = ..., driver_bytes: _Optional[int] = ..., self_report: _Optional[_Union[SelfReport, _Mapping]] = ..., unexplained_bytes: _Optional[int] = ..., planned_bytes: _Optional[int] = ..., verdict: _Optional[_Union[PlanVerdict, str]] = ..., trend: _Optional[_Union[MemoryTrend, _Mapping]] = ...) -> None: ...

class SelfReport(_message.Message):
    __slots__ = ("state", "models", "parts", "other_bytes", "complete", "kv_cache_used_share", "age_ms", "stale")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    OTHER_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    KV_CACHE_USED_SHARE_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    state: _memory_pb2.EngineState
    models: _containers.RepeatedScalarFieldContainer[str]
    parts: _containers.RepeatedCompositeFieldContainer[_memory_pb2.MemoryPart]
    other_bytes: int
    complete: bool
    kv_cache_used_share: float
    age_ms: int
    stale: bool
    def __init__(self, state: _Optional[_Union[_memory_pb2.EngineState, str]] = ..., models: _Optional[_Iterable[str]] = ..., parts: _Optional[_Iterable[_Union[_memory_pb2.MemoryPart, _Mapping]]] = ..., other_bytes: _Optional[int] = ..., complete: _Optional[bool] = ..., kv_cache_used_share: _Optional[float] = ..., age_ms: _Optional[int] = ..., stale: _Optional[bool] = ...) -> None: ...

class MemoryTrend(_message.Message):
    __slots__ = ("slope_bytes_per_hour", "slope_lower_bytes_per_hour", "growth_bytes", "leaking")
    SLOPE_BYTES_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    SLOPE_LOWER_BYTES_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    GROWTH_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEAKING_FIELD_NUMBER: _ClassVar[int]
    slope_bytes_per_hour: float
    slope_lower_bytes_per_hour: float
    growth_bytes: int
    leaking: bool
    def __init__(self, slope_bytes_per_hour: _Optional[float] = ..., slope_lower_bytes_per_hour: _Optional[float] = ..., growth_bytes: _Optional[int] = ..., leaking: _Optional[bool] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("index", "uuid", "name", "memory_total_bytes", "memory_used_bytes", "memory_budget_bytes", "utilisation", "temperature_celsius", "power_watts", "processes", "exhaustion", "seconds_to_full", "headroom_bytes")
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
    EXHAUSTION_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TO_FULL_FIELD_NUMBER: _ClassVar[int]
    HEADROOM_BYTES_FIELD_NUMBER: _ClassVar[int]
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
    exhaustion: ExhaustionCause
    seconds_to_full: float
    headroom_bytes: int
    def __init__(self, index: _Optional[int] = ..., uuid: _Optional[str] = ..., name: _Optional[str] = ..., memory_total_bytes: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., memory_budget_bytes: _Optional[int] = ..., utilisation: _Optional[float] = ..., temperature_celsius: _Optional[int] = ..., power_watts: _Optional[float] = ..., processes: _Optional[_Iterable[_Union[GpuProcess, _Mapping]]] = ..., exhaustion: _Optional[_Union[ExhaustionCause, str]] = ..., seconds_to_full: _Optional[float] = ..., headroom_bytes: _Optional[int] = ...) -> None: ...

class GpuProcess(_message.Message):
    __slots__ = ("pid", "name", "service", "memory_used_bytes", "container_id")
    PID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    name: str
    service: str
    memory_used_bytes: int
    container_id: str
    def __init__(self, pid: _Optional[int] = ..., name: _Optional[str] = ..., service: _Optional[str] = ..., memory_used_bytes: _Optional[int] = ..., container_id: _Optional[str] = ...) -> None: ...

class PressureChanged(_message.Message):
    __slots__ = ("device_index", "level", "headroom_bytes")
    DEVICE_INDEX_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    HEADROOM_BYTES_FIELD_NUMBER: _ClassVar[int]
    device_index: int
    level: PressureLevel
    headroom_bytes: int
    def __init__(self, device_index: _Optional[int] = ..., level: _Optional[_Union[PressureLevel, str]] = ..., headroom_bytes: _Optional[int] = ...) -> None: ...

class PlanVerdictChanged(_message.Message):
    __slots__ = ("service", "verdict", "used_bytes", "planned_bytes")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLANNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    service: str
    verdict: PlanVerdict
    used_bytes: int
    planned_bytes: int
    def __init__(self, service: _Optional[str] = ..., verdict: _Optional[_Union[PlanVerdict, str]] = ..., used_bytes: _Optional[int] = ..., planned_bytes: _Optional[int] = ...) -> None: ...

class LeakChanged(_message.Message):
    __slots__ = ("service", "leaking", "trend")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    LEAKING_FIELD_NUMBER: _ClassVar[int]
    TREND_FIELD_NUMBER: _ClassVar[int]
    service: str
    leaking: bool
    trend: MemoryTrend
    def __init__(self, service: _Optional[str] = ..., leaking: _Optional[bool] = ..., trend: _Optional[_Union[MemoryTrend, _Mapping]] = ...) -> None: ...

class ExhaustionChanged(_message.Message):
    __slots__ = ("device_index", "cause", "service", "free_bytes", "seconds_to_full", "outstanding_bytes")
    DEVICE_INDEX_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TO_FULL_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_BYTES_FIELD_NUMBER: _ClassVar[int]
    device_index: int
    cause: ExhaustionCause
    service: str
    free_bytes: int
    seconds_to_full: float
    outstanding_bytes: int
    def __init__(self, device_index: _Optional[int] = ..., cause: _Optional[_Union[ExhaustionCause, str]] = ..., service: _Optional[str] = ..., free_bytes: _Optional[int] = ..., seconds_to_full: _Optional[float] = ..., outstanding_bytes: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("service", "model", "weights_bytes", "kv_cache_bytes", "activations_bytes", "context_bytes", "used_bytes", "verdict")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_CACHE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVATIONS_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    service: str
    model: str
    weights_bytes: int
    kv_cache_bytes: int
    activations_bytes: int
    context_bytes: int
    used_bytes: int
    verdict: PlanVerdict
    def __init__(self, service: _Optional[str] = ..., model: _Optional[str] = ..., weights_bytes: _Optional[int] = ..., kv_cache_bytes: _Optional[int] = ..., activations_bytes: _Optional[int] = ..., context_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., verdict: _Optional[_Union[PlanVerdict, str]] = ...) -> None: ...
