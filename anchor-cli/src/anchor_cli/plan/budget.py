"""What each service needs on the card, figure by figure, and whether all of it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from anchor_cli.plan.shapes import Shape
from anchor_cli.plan.weights import CACHE_BYTES, weights_bytes

GIB = 2**30


class Basis(StrEnum):
    """Where a figure comes from."""

    COMPUTED = "computed"  # From the model's shape.
    ASSUMED = "assumed"  # What others reported; nothing here follows from a shape.
    READ = "read"  # From the model's own file.
    MEASURED = "measured"  # By the driver of this machine.


@dataclass(frozen=True, slots=True)
class Figure:
    """Bytes, and how sure they are."""

    bytes: int
    basis: Basis


@dataclass(frozen=True, slots=True)
class Runtime:
    """The program that runs a model, and what it takes besides."""

    # Tokens of one batch of the prefill; 0 for a whole context.
    batch_tokens: int
    # Bytes of one activation value.
    activation_bytes: int
    # Rows of logits that are held at once, in single precision.
    logit_rows: int
    workspace_gib: float
    context_gib: float
    on_gpu: bool = True
    # The least compute capability that each precision wants; one that is not named works on every card.
    least_compute: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue, or one read from a file."""

    name: str
    title: str
    runtime: str
    source: str
    # Precisions it can be had in, the usual one first.
    precisions: tuple[str, ...]
    shape: Shape | None = None
    # The engine of its service that runs it; empty where the service has but one way.
    engine: str = ""
    # What has to be done besides before its service can use it; empty where nothing has.
    note: str = ""
    # What its server calls it; `{weights}` stands for the precision.
    server_name: str = ""
    # Weights as the model's own file has them; None to compute them.
    file_weights_bytes: int | None = None
    # The longest context it was trained for, in tokens; 0 where that is no limit here.
    trained_context_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """What one service is to run, and for how many at a time."""

    model: str
    weights: str
    slots: int
    # Context of each slot.
    context_tokens: int
    cache: str = "f16"


@dataclass(frozen=True, slots=True)
class ServiceMemory:
    """What one service takes on the card."""

    service: str
    choice: Choice
    weights: Figure
    kv_cache: Figure
    activations: Figure
    context: Figure

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.weights, self.kv_cache, self.activations, self.context)

    @property
    def work(self) -> Figure:
        """What is neither weights nor cache: as sure as its activations."""
        return Figure(self.activations.bytes + self.context.bytes, self.activations.basis)

    @property
    def total(self) -> Figure:
        """All of it, without a word on how sure: each of its parts says that for itself."""
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
    # What the driver keeps for itself.
    driver_gib: float = 0.5
    # What stays free, for whatever no plan foresees.
    reserve_gib: float = 1.5
    basis: Basis = Basis.ASSUMED

    @property
    def total_bytes(self) -> int:
        return self.memory_mib * 2**20

    @property
    def budget_bytes(self) -> int:
        """What services may take together."""
        return self.total_bytes - int((self.driver_gib + self.reserve_gib) * GIB)

    def computes(self, weights: str, runtime: Runtime) -> bool:
        """Whether `runtime` can work with such weights on it."""
        return not runtime.on_gpu or self.compute >= runtime.least_compute.get(weights, 0)


def memory_of(service: str, choice: Choice, model: Model, runtimes: Mapping[str, Runtime]) -> ServiceMemory:
    """What `choice` takes on the card. Raises `InvalidRequest` (`plan.unknown_precision`)."""
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


def cache_bytes(shape: Shape, choice: Choice) -> int:
    """Keys and values of every slot at its full context, and of what is kept beside them."""
    values = choice.context_tokens * shape.decoder.values_cached_per_token
    if shape.encoder is not None:
        values += shape.encoder_steps_cached * shape.encoder.values_cached_per_token
    kept = shape.kept_tokens * shape.decoder.values_cached_per_token
    return int((choice.slots * values + kept) * CACHE_BYTES[choice.cache])


def activation_bytes(shape: Shape, choice: Choice, runtime: Runtime) -> int:
    """The peak of one batch, the logits, and the runtime's own workspace and captured graphs."""
    tokens = min(runtime.batch_tokens or choice.context_tokens, choice.context_tokens)
    values = tokens * shape.decoder.widest_row
    if shape.encoder is not None:
        values = max(values, shape.encoder_steps_at_once * shape.encoder.widest_row)
    logits = 4 * runtime.logit_rows * shape.vocabulary
    return values * runtime.activation_bytes + logits + int(runtime.workspace_gib * GIB)
