"""Estimates the GPU memory of each service, and the budget of a card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from anchor_cli.plan.shapes import ModelShape
from anchor_cli.plan.weights import CACHE_BYTES, weights_bytes

GIB = 2**30


class Basis(StrEnum):
    """Source of a figure."""

    COMPUTED = "computed"  # From the model's shape.
    ASSUMED = "assumed"  # From published reports, independent of the shape.
    READ = "read"  # From the model's file.
    MEASURED = "measured"  # By this machine's driver.


@dataclass(frozen=True, slots=True)
class Figure:
    """Bytes and their source."""

    bytes: int
    basis: Basis


@dataclass(frozen=True, slots=True)
class Runtime:
    """The program that runs a model, and its own memory use."""

    # Tokens per prefill batch; 0 for a whole context.
    batch_tokens: int
    # Bytes of one activation value.
    activation_bytes: int
    # Rows of logits in memory at once, in single precision.
    logit_rows: int
    workspace_gib: float
    context_gib: float
    on_gpu: bool = True
    # Minimum compute capability by precision; a missing precision works on every card.
    least_compute: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue or from a file."""

    name: str
    title: str
    runtime: str
    source: str
    # Available precisions, the default first.
    precisions: tuple[str, ...]
    shape: ModelShape | None = None
    # The service's engine that runs it; empty when the service has only one.
    engine: str = ""
    # Manual steps before its service can use it; empty when there are none.
    note: str = ""
    # The model's name on its server; `{weights}` stands for the precision.
    server_name: str = ""
    # Size of the weights in the model's file; None to compute it.
    file_weights_bytes: int | None = None
    # Maximum context from training, in tokens; 0 for no limit.
    trained_context_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model of one service, its precision, and its number of concurrent slots."""

    model: str
    weights: str
    slots: int
    # Context per slot.
    context_tokens: int
    cache: str = "f16"


@dataclass(frozen=True, slots=True)
class ServiceMemory:
    """Estimated memory of one service on the card."""

    service: str
    choice: ModelChoice
    weights: Figure
    kv_cache: Figure
    activations: Figure
    context: Figure

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.weights, self.kv_cache, self.activations, self.context)

    @property
    def work(self) -> Figure:
        """Activations and CUDA context, with the basis of the activations."""
        return Figure(self.activations.bytes + self.context.bytes, self.activations.basis)

    @property
    def total(self) -> Figure:
        """Sum of all figures. Its basis is nominal: each part has its own."""
        return Figure(self.total_bytes, Basis.COMPUTED)

    @property
    def total_bytes(self) -> int:
        return sum(figure.bytes for figure in self.figures)


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU."""

    name: str
    title: str
    memory_mib: int
    # CUDA's compute capability: 7.5, 8.6, 8.9 ...
    compute: float
    # Reserved by the driver.
    driver_gib: float = 0.5
    # Left free for unplanned use.
    reserve_gib: float = 1.5
    basis: Basis = Basis.ASSUMED

    @property
    def total_bytes(self) -> int:
        return self.memory_mib * 2**20

    @property
    def budget_bytes(self) -> int:
        """Memory available to all services together."""
        return self.total_bytes - int((self.driver_gib + self.reserve_gib) * GIB)

    def supports(self, weights: str, runtime: Runtime) -> bool:
        """Whether `runtime` can compute with this precision on the card."""
        return not runtime.on_gpu or self.compute >= runtime.least_compute.get(weights, 0)


def estimate_memory(service: str, choice: ModelChoice, model: Model, runtimes: Mapping[str, Runtime]) -> ServiceMemory:
    """Estimate the memory of `choice`. Raises `InvalidRequest` (`plan.unknown_precision`)."""
    runtime = runtimes[model.runtime]
    shape = model.shape
    if shape is None or not runtime.on_gpu:
        nothing = Figure(0, Basis.COMPUTED)
        return ServiceMemory(service, choice, nothing, nothing, nothing, nothing)
    if model.file_weights_bytes is None:
        weights = Figure(weights_bytes(shape, choice.weights), Basis.COMPUTED)
    else:
        weights = Figure(model.file_weights_bytes, Basis.READ)
    return ServiceMemory(
        service,
        choice,
        weights,
        Figure(cache_bytes(shape, choice), Basis.COMPUTED),
        Figure(activation_bytes(shape, choice, runtime), Basis.ASSUMED),
        Figure(int(runtime.context_gib * GIB), Basis.ASSUMED),
    )


def cache_bytes(shape: ModelShape, choice: ModelChoice) -> int:
    """Bytes of keys and values: every slot at its full context, plus cached voices."""
    values = choice.context_tokens * shape.decoder.values_cached_per_token
    if shape.encoder is not None:
        values += shape.encoder_steps_cached * shape.encoder.values_cached_per_token
    voices = shape.cached_voice_tokens * shape.decoder.values_cached_per_token
    return int((choice.slots * values + voices) * CACHE_BYTES[choice.cache])


def activation_bytes(shape: ModelShape, choice: ModelChoice, runtime: Runtime) -> int:
    """Peak bytes of one batch, the logits, and the runtime's workspace with captured graphs."""
    tokens = min(runtime.batch_tokens or choice.context_tokens, choice.context_tokens)
    values = tokens * shape.decoder.widest_row
    if shape.encoder is not None:
        values = max(values, shape.encoder_steps_at_once * shape.encoder.widest_row)
    logits = 4 * runtime.logit_rows * shape.vocabulary
    return values * runtime.activation_bytes + logits + int(runtime.workspace_gib * GIB)
