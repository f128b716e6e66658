"""Language model alone: it is whole on the card, fast, and reads only what is new."""

from __future__ import annotations

from dataclasses import dataclass

from anchor_cli.verification.checks import limits
from anchor_cli.verification.outcome import Check, at_least, at_most, require

_CACHE_CURE = "Set OLLAMA_MULTIUSER_CACHE=1 for Ollama; without it, sessions in turns evict each other's history."


@dataclass(frozen=True, slots=True)
class Reading:
    """How long Ollama read a prompt of which `new_tokens` were not in its cache, in seconds."""

    new_tokens: int
    prompt_s: float


@dataclass(frozen=True, slots=True)
class LanguageModelFigures:
    """What Ollama reports, and the time to the first token as a client sees it."""

    size_bytes: int
    size_vram_bytes: int
    # None when Ollama does not report it.
    context_tokens: int | None
    planned_context_tokens: int
    tokens_per_s: float
    first_token_s: float
    # A long prompt at first sight: tokens a second.
    cold_tokens_per_s: float
    repeated: Reading
    # The later turns of two sessions that take turns.
    turns: tuple[Reading, ...]


def check_language_model(figures: LanguageModelFigures) -> tuple[Check, ...]:
    """Decide on all figures of the language model."""
    share = figures.size_vram_bytes / figures.size_bytes if figures.size_bytes else 0.0
    reread = max((reread_tokens(turn, figures) - turn.new_tokens for turn in figures.turns), default=None)
    return (
        require(
            "whole on the card",
            figures.size_bytes > 0 and figures.size_vram_bytes == figures.size_bytes,
            f"{share:.0%} of {figures.size_bytes / limits.GIB:.1f} GiB are on the card",
            "Run `anchor plan --write .env`; a part of the model was left in host memory.",
        ),
        _check_context(figures),
        at_least(
            "generation",
            figures.tokens_per_s,
            limits.LEAST_TOKENS_PER_S,
            "tokens/s",
            "Choose a smaller model: `anchor plan --model llm=mistral-nemo-12b --write .env`.",
        ),
        at_most(
            "first token",
            figures.first_token_s,
            limits.MOST_FIRST_TOKEN_S,
            "s",
            "Choose a smaller model: `anchor plan --model llm=mistral-nemo-12b --write .env`.",
        ),
        at_most(
            "tokens read again, same prompt",
            reread_tokens(figures.repeated, figures),
            limits.TEMPLATE_TOKENS,
            "",
            "Give LLM_OLLAMA_CONTEXT_TOKENS and OLLAMA_CONTEXT_LENGTH the same value; another one reloads the model.",
        ),
        at_most("tokens read again, two sessions", reread, limits.TEMPLATE_TOKENS, "", _CACHE_CURE),
    )


def reread_tokens(reading: Reading, figures: LanguageModelFigures) -> float:
    """Tokens that were read, by the time it took.

    Ollama's `prompt_eval_count` counts the whole prompt, cached or not, so it says nothing. Reading anything takes at
    least one step, which is subtracted with the overhead.
    """
    step_s = 1 / figures.tokens_per_s if figures.tokens_per_s else 0.0
    return max(0.0, reading.prompt_s - step_s - limits.PROMPT_OVERHEAD_S) * figures.cold_tokens_per_s


def _check_context(figures: LanguageModelFigures) -> Check:
    wanted = figures.planned_context_tokens
    message = f"{figures.context_tokens} tokens, planned {wanted}"
    cure = "Run `anchor plan --write .env`, then `docker compose up -d ollama-gpu`."
    if figures.context_tokens is None:
        return at_least("context", None, wanted, "tokens", cure)
    return require("context", figures.context_tokens == wanted, message, cure)
