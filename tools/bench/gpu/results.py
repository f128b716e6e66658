"""The results of the benchmark, as values without dependencies on the measuring code."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpu.data_sheets import DataSheet

# Limit of tokens for a final, about fifteen words; random weights rarely end by themselves.
MAX_TOKENS = 20


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Step times with a number of slots, in ms."""

    weights: str
    slots: int
    # With the random draws before and the copy to the host after: the time the decode loop waits.
    whole_ms: float
    # The step alone, captured as a graph; None without CUDA.
    graph_ms: float | None
    # The step alone, launched kernel by kernel.
    eager_ms: float
    read_bytes: int


@dataclass(frozen=True, slots=True)
class StepProfile:
    """The time of one step on the device, in ms; `kernels` are the longest: name, ms and calls for each step."""

    slots: int
    step_ms: float
    busy_ms: float
    kernels: tuple[tuple[str, float, float], ...]

    @property
    def gap_ms(self) -> float:
        """Time in which the device is idle."""
        return max(0.0, self.step_ms - self.busy_ms)


@dataclass(frozen=True, slots=True)
class SpeechTimes:
    """Phrases in a number of slots, all started at the same moment."""

    weights: str
    slots: int
    phrases: int
    first_audio_ms: float
    worst_first_audio_ms: float
    # Mean time for each second of speech.
    realtime_factor: float


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """Memory of one kind, in bytes: measured, and planned."""

    name: str
    found: int
    planned: int

    @property
    def error(self) -> float:
        """The relative error of the plan: positive when it is above the measured memory."""
        return self.planned / self.found - 1 if self.found else 0.0


@dataclass(frozen=True, slots=True)
class FinalTimes:
    """Times of final transcripts for one clip length and concurrency, in ms."""

    clip_s: float
    at_a_time: int
    count: int
    p50_ms: float
    worst_ms: float
    # Mean number of tokens; below `MAX_TOKENS` when the weights end by themselves.
    tokens: float


@dataclass(slots=True)
class BenchResult:
    """All results of a run; a failed part has its error in `failures`."""

    device: str
    data_sheet: DataSheet | None
    context_tokens: int
    # After each part.
    clocks: dict[str, str] = field(default_factory=dict)
    copy_gb_s: float = 0.0
    steps: list[StepTimes] = field(default_factory=list)
    profile: StepProfile | None = None
    speech: list[SpeechTimes] = field(default_factory=list)
    steps_to_first_audio: int = 0
    memory: list[MemoryPart] = field(default_factory=list)
    finals: list[FinalTimes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
