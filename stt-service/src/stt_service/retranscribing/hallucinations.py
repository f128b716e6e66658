"""Removes hallucinations: text that speech models produce for silence, noise and repetition."""

from __future__ import annotations

import re
import zlib

from stt_service.retranscribing.words import language_words, normalise

# A phrase of at most this many words is a loop when repeated at least this often in a row ...
MAX_LOOP_WORDS = 12
MIN_LOOPS = 4
# ... and a single word when repeated a little more often: people say "no, no, no, no".
MIN_WORD_LOOPS = 6
# The same for letters, where a loop has no spaces.
LETTER_LOOP = re.compile(r"(\S{1,8}?)\1{7,}")
# Whisper ends some questions twice: "on the compost heap?."
SECOND_STOP = re.compile(r"(?<=[?!])\.(?!\S)")
# Text of at least this many bytes that compresses better than this is a repetition.
MAX_COMPRESSION = 2.4
MIN_COMPRESSED_BYTES = 80
# With less speech than this, `doubtful` phrases count as hallucinations.
DOUBTFUL_BELOW_MS = 300


def drop_hallucinations(text: str, language: str, voiced_ms: int) -> str:
    """Return `text` without hallucinations; empty when all of it is one.

    `language` is empty when unknown: then the phrases of every language are compared. `voiced_ms` is the amount of
    speech in the audio.
    """
    text = SECOND_STOP.sub("", collapse_loops(" ".join(text.split())))
    if compression_ratio(text) > MAX_COMPRESSION:
        return ""
    normalised = normalise(text)
    lists = language_words()
    for words in [lists[language]] if language in lists else lists.values():
        if normalised in words.credits or (voiced_ms < DOUBTFUL_BELOW_MS and normalised in words.doubtful):
            return ""
    return text


def is_doubtful(text: str, language: str) -> bool:
    """Return whether a model is as likely to produce all of `text` for noise as for speech."""
    lists = language_words()
    return any(
        normalise(text) in words.doubtful for words in ([lists[language]] if language in lists else lists.values())
    )


def collapse_loops(text: str) -> str:
    """Return `text` with every loop reduced to one repetition."""
    text = LETTER_LOOP.sub(r"\1", text)
    words = text.split()
    compared = [normalise(word) or word for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        size, loops = _loop_at(compared, at)
        kept += words[at : at + size]
        at += size * loops
    return " ".join(kept)


def collapse_stutter(text: str) -> str:
    """Return the text of a partial without the repetition that it ends in.

    A model fills speech that breaks off with it. The last word may itself be broken off ("in being comparative, in
    being comp"). People repeat words at the end of a sentence too ("no, no"): the final has them.
    """
    words = text.split()
    compared = [normalise(word) or word for word in words]
    for size in range(1, len(words) // 2 + 1):
        repeated = _repeated_at_end(compared, size)
        if repeated >= size:
            return " ".join(words[: len(words) - repeated])
    return text


def ends_in_loop(text: str) -> bool:
    """Return whether `text` ends in a loop, which the model would only continue."""
    words = normalise(text).split()
    for size in range(1, MAX_LOOP_WORDS + 1):
        loops = MIN_WORD_LOOPS if size == 1 else MIN_LOOPS
        if len(words) >= size * loops and words[-size * loops :] == words[-size:] * loops:
            return True
    return bool(re.search(LETTER_LOOP.pattern + "$", text))


def compression_ratio(text: str) -> float:
    """Return the ratio of the sizes of `text` before and after compression; 1.0 for short text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if len(raw) >= MIN_COMPRESSED_BYTES else 1.0


def _repeated_at_end(words: list[str], size: int) -> int:
    """Return how many words at the end equal the one `size` words before; the last may be a part of it if others do."""
    whole = [later == earlier for later, earlier in zip(words[size:], words, strict=False)]
    if len(whole) > 1 and whole[-2] and words[-1 - size].startswith(words[-1]):
        whole[-1] = True
    return next((count for count, same in enumerate(reversed(whole)) if not same), len(whole))


def _loop_at(words: list[str], at: int) -> tuple[int, int]:
    for size in range(1, MAX_LOOP_WORDS + 1):
        phrase = words[at : at + size]
        loops = 1
        while words[at + size * loops : at + size * (loops + 1)] == phrase and len(phrase) == size:
            loops += 1
        if loops >= (MIN_WORD_LOOPS if size == 1 else MIN_LOOPS):
            return size, loops
    return 1, 1
