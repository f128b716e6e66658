"""What is measured, as values: nothing here imports what measures them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpu.cards import DataSheet

# Most pieces of text of a final: what fifteen words come to; made-up weights rarely end by themselves.
MAX_TOKENS = 20


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Steps of so many slots, in ms."""

    weights: str
    slots: int
    # With the draws of every slot before, and the rows brought to the host after: what the loop waits for.
    whole_ms: float
    # The step alone, captured as a graph; None where there is no CUDA.
    graph_ms: float | None
    # The step alone, launched piece by piece.
    eager_ms: float
    read_bytes: int


@dataclass(frozen=True, slots=True)
class StepProfile:
    """Where one step's time goes on the device, in ms; `kernels` are the longest, with their calls for each step."""

    slots: int
    step_ms: float
    busy_ms: float
    kernels: tuple[tuple[str, float, float], ...]

    @property
    def gap_ms(self) -> float:
        """The device had nothing to do."""
        return max(0.0, self.step_ms - self.busy_ms)


@dataclass(frozen=True, slots=True)
class SpeechTimes:
    """Phrases in so many slots, all begun at the same moment."""

    weights: str
    slots: int
    phrases: int
    first_audio_ms: float
    worst_first_audio_ms: float
    # Time for each second of speech, in every slot.
    realtime_factor: float


@dataclass(frozen=True, slots=True)
class Part:
    """Memory of one kind, in bytes: as found, and as planned."""

    name: str
    found: int
    planned: int

    @property
    def error(self) -> float:
        """By which share of what was found the plan says more (or less, below 0)."""
        return self.planned / self.found - 1 if self.found else 0.0


@dataclass(frozen=True, slots=True)
class Finals:
    """Final transcripts of clips of so many seconds, so many at a time, in ms."""

    clip_s: float
    at_a_time: int
    count: int
    p50_ms: float
    worst_ms: float
    # Pieces of text that came; fewer than `MAX_TOKENS` where the weights ended by themselves.
    tokens: float


@dataclass(slots=True)
class Measured:
    """All that came of a run; a part that failed left its error instead."""

    device: str
    data_sheet: DataSheet | None
    context_tokens: int
    # While each part ran.
    clocks: dict[str, str] = field(default_factory=dict)
    copy_gb_s: float = 0.0
    steps: list[StepTimes] = field(default_factory=list)
    profile: StepProfile | None = None
    speech: list[SpeechTimes] = field(default_factory=list)
    steps_to_first_audio: int = 0
    memory: list[Part] = field(default_factory=list)
    finals: list[Finals] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
