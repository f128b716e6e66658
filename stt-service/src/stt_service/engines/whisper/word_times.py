"""Words with times, from the alignment of the tokens with the encoder's frames (as OpenAI's `whisper/timing.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from stt_service.engine import Word
from stt_service.engines.whisper.tokens import to_bytes

# The encoder has 50 positions a second.
_POSITION_MS = 20


def aligned_words(
    tokens: Sequence[str], alignment: Sequence[tuple[int, int]], probabilities: Sequence[float], end_ms: int
) -> tuple[Word, ...]:
    """Return the words of `tokens`, which are all text.

    `alignment` has pairs of a token's index and an encoder position, both ascending: a token begins at its first
    position, and a word ends where the next one begins, at the latest at `end_ms`. A word's confidence is the mean of
    its tokens' probabilities.
    """
    first_positions: dict[int, int] = {}
    for token, position in alignment:
        first_positions.setdefault(token, position)
    begins: list[int] = []
    for token in range(len(tokens)):
        # A token without a position begins with the one before.
        before_ms = begins[-1] if begins else 0
        begins.append(min(max(first_positions.get(token, 0) * _POSITION_MS, before_ms), end_ms))
    begins.append(end_ms)
    words: list[Word] = []
    for first, stop in _word_spans(tokens):
        text = b"".join(to_bytes(token) for token in tokens[first:stop]).decode("utf-8", "replace").strip()
        confidence = sum(probabilities[first:stop]) / (stop - first)
        words.append(Word(text, begins[first], begins[stop], min(max(confidence, 0.0), 1.0)))
    return tuple(words)


def _word_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """The spans of the tokens of each word. A word begins at a token with a space in front, and is not only spaces."""
    starts: list[int] = []
    has_letters = False
    for at, token in enumerate(tokens):
        raw = to_bytes(token)
        if raw.strip() and (not has_letters or raw.startswith(b" ")):
            starts.append(at if has_letters or not starts else starts.pop())
            has_letters = True
        elif not starts:
            starts.append(at)
    return list(zip(starts, [*starts[1:], len(tokens)], strict=True)) if has_letters else []
