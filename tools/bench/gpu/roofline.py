"""The least time of a step by memory bandwidth, and the projection to another card. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace

from anchor_cli.plan.shapes import TransformerStack

FRAMES_PER_S = 25
HALF, BYTE = 2, 1


@dataclass(frozen=True, slots=True)
class SpeechShape:
    """The part of a speaking language model that a step reads."""

    # With one feed-forward block for each layer: the block for text is not read during speech.
    stack: TransformerStack
    # Parameters of the output matrix for the codes.
    head_parameters: int

    @classmethod
    def speaking(cls, decoder: TransformerStack, books: int, codes: int) -> SpeechShape:
        """The part of `decoder` read to choose a row of `books` codes, each one of `codes`."""
        return cls(replace(decoder, feed_forwards=1), decoder.hidden * books * codes)


def weight_bytes_read(shape: SpeechShape, bytes_per_weight: int = HALF) -> int:
    """Bytes of weights that a step reads, whatever the number of slots; the head stays in half precision."""
    return shape.stack.parameters * bytes_per_weight + shape.head_parameters * HALF


def cache_bytes_read(shape: SpeechShape, slots: int, context_tokens: int) -> int:
    """Bytes of keys and values that a step reads: all positions of all slots, used or not."""
    return slots * context_tokens * shape.stack.values_cached_per_token * HALF


def step_bytes(shape: SpeechShape, slots: int, context_tokens: int, bytes_per_weight: int = HALF) -> int:
    """Bytes that one step of all slots reads."""
    return weight_bytes_read(shape, bytes_per_weight) + cache_bytes_read(shape, slots, context_tokens)


def floor_ms(read_bytes: int, gb_s: float) -> float:
    """The time to read `read_bytes` at `gb_s` (10^9 bytes a second), in ms."""
    return read_bytes / gb_s / 1e6


def realtime_factor(step_ms: float) -> float:
    """Step time for each second of speech, in seconds; without the codec."""
    return step_ms * FRAMES_PER_S / 1000


@dataclass(frozen=True, slots=True)
class FirstAudio:
    """The time to the first audio of a phrase, in ms, and its steps."""

    total_ms: float
    steps: int
    step_ms: float
    # The least `step_ms` on the same card.
    step_floor_ms: float

    @property
    def rest_ms(self) -> float:
        """Prompt, codec and everything else outside the steps."""
        return max(0.0, self.total_ms - self.steps * self.step_ms)


def projected_ms(first: FirstAudio, bandwidth_ratio: float) -> tuple[float, float]:
    """The least and most total of `first`, in ms, on a card with memory slower by `bandwidth_ratio`.

    The least: only reading weights and cache takes longer. The most: everything does.
    """
    grown = first.step_floor_ms * (bandwidth_ratio - 1)
    return first.total_ms + first.steps * grown, first.total_ms * bandwidth_ratio
