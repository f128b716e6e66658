"""What keeps words out that nobody said: such models write something of everything they are given."""

from __future__ import annotations

import re
import zlib

from stt_service.retranscribing.words import known_words, plain

# A phrase of at most this many words, said so often in a row, is a loop ...
MAX_LOOP_WORDS = 12
MIN_LOOPS = 4
# ... and single words may be said a little oftener: "no, no, no, no".
MIN_WORD_LOOPS = 6
# The same for letters, where a loop has no spaces.
LETTER_LOOP = re.compile(r"(\S{1,8}?)\1{7,}")
# What compresses better than this, once it is long enough to tell, says little again and again.
MAX_COMPRESSION = 2.4
MIN_COMPRESSED_BYTES = 80
# Where less speech than this was heard, `doubtful` phrases are not believed.
DOUBTFUL_BELOW_MS = 300


def believed(text: str, language: str, voiced_ms: int) -> str:
    """`text` without what was made up; empty where all of it was.

    `language` is empty where it is not known: then the phrases of every language count.
    """
    text = without_loops(" ".join(text.split()))
    if compression(text) > MAX_COMPRESSION:
        return ""
    said = plain(text)
    lists = known_words()
    for words in [lists[language]] if language in lists else lists.values():
        if said in words.credits or (voiced_ms < DOUBTFUL_BELOW_MS and said in words.doubtful):
            return ""
    return text


def without_loops(text: str) -> str:
    """`text` with every loop gone through once."""
    text = LETTER_LOOP.sub(r"\1", text)
    words = text.split()
    compared = [plain(word) or word for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        size, loops = _loop_at(compared, at)
        kept += words[at : at + size]
        at += size * loops
    return " ".join(kept)


def looping(text: str) -> bool:
    """Whether `text` ends in a loop, so that nothing but more of it is to come."""
    words = plain(text).split()
    for size in range(1, MAX_LOOP_WORDS + 1):
        loops = MIN_WORD_LOOPS if size == 1 else MIN_LOOPS
        if len(words) >= size * loops and words[-size * loops :] == words[-size:] * loops:
            return True
    return bool(re.search(LETTER_LOOP.pattern + "$", text))


def compression(text: str) -> float:
    """How many times smaller `text` becomes; 1.0 for short text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if len(raw) >= MIN_COMPRESSED_BYTES else 1.0


def _loop_at(words: list[str], at: int) -> tuple[int, int]:
    for size in range(1, MAX_LOOP_WORDS + 1):
        phrase = words[at : at + size]
        loops = 1
        while words[at + size * loops : at + size * (loops + 1)] == phrase and len(phrase) == size:
            loops += 1
        if loops >= (MIN_WORD_LOOPS if size == 1 else MIN_LOOPS):
            return size, loops
    return 1, 1
