"""Shapes of transformer models, and their numbers of parameters, cached values and activation values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransformerStack:
    """Transformer layers of the same shape."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    # Whether the feed-forward has three matrices (gate, up, down) or two.
    gated: bool = True
    # Feed-forward blocks per layer: two when text and speech have separate ones, more with a mixture of experts.
    feed_forwards: int = 1
    # Whether each layer also attends to an encoder.
    cross_attention: bool = False

    @property
    def value_parameters(self) -> int:
        """Parameters of one layer's value projection; the key projection has the same size."""
        return self.hidden * self.kv_heads * self.head_dim

    @property
    def output_parameters(self) -> int:
        """Parameters of one layer's attention output projection; the query projection has the same size."""
        return self.hidden * self.heads * self.head_dim

    @property
    def down_parameters(self) -> int:
        """Parameters of one layer's down projections."""
        return self.hidden * self.feed_forward * self.feed_forwards

    @property
    def layer_outputs(self) -> int:
        """Number of output channels of all matrices in one layer; 8-bit weights have one scale each."""
        attention = self.heads * self.head_dim + 2 * self.kv_heads * self.head_dim + self.hidden
        feed_forward = (2 if self.gated else 1) * self.feed_forward + self.hidden
        return attention * (2 if self.cross_attention else 1) + feed_forward * self.feed_forwards

    @property
    def layer_parameters(self) -> int:
        """Parameters of all matrices in one layer."""
        attention = 2 * (self.value_parameters + self.output_parameters)
        return attention * (2 if self.cross_attention else 1) + self.down_parameters * (3 if self.gated else 2)

    @property
    def parameters(self) -> int:
        """Parameters of all matrices in all layers, without norms and biases (below 0.1 %)."""
        return self.layers * self.layer_parameters

    @property
    def values_cached_per_token(self) -> int:
        """Key and value numbers that one token adds to the cache."""
        return self.layers * 2 * self.kv_heads * self.head_dim

    @property
    def widest_row(self) -> int:
        """Activation values of one token at the peak: gate and up, plus input, residual, query and output."""
        return (2 if self.gated else 1) * self.feed_forward + 2 * self.hidden + 2 * self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The parts of a model that determine its memory."""

    decoder: TransformerStack
    vocabulary: int
    # Whether the embedding is also the output matrix, or there is no output matrix.
    tied: bool = False
    encoder: TransformerStack | None = None
    # Encoder steps cached per stream; 0 for encoders of whole clips.
    encoder_steps_cached: int = 0
    # Maximum encoder steps per call, for the activation peak.
    encoder_steps_at_once: int = 0
    # Tokens of cloned voices, cached in addition to the slots.
    cached_voice_tokens: int = 0
    # Parameters outside the stacks: projectors, convolutions, codebooks.
    other_parameters: int = 0
    # Parameters that remain in single precision: a codec's decoder.
    single_precision_parameters: int = 0

    @property
    def embedding_parameters(self) -> int:
        return self.vocabulary * self.decoder.hidden

    @property
    def parameters(self) -> int:
        """All parameters."""
        embeddings = self.embedding_parameters * (1 if self.tied else 2)
        encoder = self.encoder.parameters if self.encoder else 0
        others = self.other_parameters + self.single_precision_parameters
        return self.decoder.parameters + encoder + embeddings + others
