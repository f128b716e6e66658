"""Shapes of models, and what follows from them: parameters, and cached values for each token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stack:
    """Transformer layers of one shape."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    # Three matrices (gate, up, down), or two.
    gated: bool = True
    # Feed-forward blocks of each layer: two where text and speech have their own, many where experts are mixed.
    feed_forwards: int = 1
    # Whether each layer attends to an encoder too.
    cross_attention: bool = False

    @property
    def value_parameters(self) -> int:
        """The value projection of one layer; the key projection is as large."""
        return self.hidden * self.kv_heads * self.head_dim

    @property
    def output_parameters(self) -> int:
        """The output projection of one layer's attention; the query projection is as large."""
        return self.hidden * self.heads * self.head_dim

    @property
    def down_parameters(self) -> int:
        """The matrices of one layer that lead out of its feed-forward blocks."""
        return self.hidden * self.feed_forward * self.feed_forwards

    @property
    def layer_outputs(self) -> int:
        """Outputs of every matrix of one layer; with weights of eight bits, each has a scale."""
        attention = self.heads * self.head_dim + 2 * self.kv_heads * self.head_dim + self.hidden
        feed_forward = (2 if self.gated else 1) * self.feed_forward + self.hidden
        return attention * (2 if self.cross_attention else 1) + feed_forward * self.feed_forwards

    @property
    def layer_parameters(self) -> int:
        """Every matrix of one layer."""
        attention = 2 * (self.value_parameters + self.output_parameters)
        return attention * (2 if self.cross_attention else 1) + self.down_parameters * (3 if self.gated else 2)

    @property
    def parameters(self) -> int:
        """Every matrix of all layers. Norms and biases, under a thousandth, are left out."""
        return self.layers * self.layer_parameters

    @property
    def values_cached_per_token(self) -> int:
        """Keys and values that one token leaves in the cache."""
        return self.layers * 2 * self.kv_heads * self.head_dim

    @property
    def widest_row(self) -> int:
        """Values one token needs at once: the feed-forward's two halves beside input, residual, query and output."""
        return (2 if self.gated else 1) * self.feed_forward + 2 * self.hidden + 2 * self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Shape:
    """A model, as far as its memory goes."""

    decoder: Stack
    vocabulary: int
    # Whether the embedding serves as the output matrix too, or there is none.
    tied: bool = False
    encoder: Stack | None = None
    # Encoder steps that stay cached for each stream: 0 where the encoder hears whole clips.
    encoder_steps_cached: int = 0
    # Encoder steps that one call may hold, for the peak of its activations.
    encoder_steps_at_once: int = 0
    # Tokens that stay cached beside those of the slots: voices that were spoken in.
    kept_tokens: int = 0
    # What stands beside the stacks, in parameters: projectors, convolutions, codebooks.
    other_parameters: int = 0
    # What stays in single precision, in parameters: a codec's decoder.
    single_precision_parameters: int = 0

    @property
    def embedding_parameters(self) -> int:
        return self.vocabulary * self.decoder.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        embeddings = self.embedding_parameters * (1 if self.tied else 2)
        encoder = self.encoder.parameters if self.encoder else 0
        beside = self.other_parameters + self.single_precision_parameters
        return self.decoder.parameters + encoder + embeddings + beside
