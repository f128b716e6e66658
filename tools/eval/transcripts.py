"""What was said against what was heard."""

from __future__ import annotations

import re

from stt_service.engines.pocketsphinx.knowledge import dictionary_words


def spoken(transcript: str) -> list[str]:
    """The words to recognise: without events and broken-off words, titles written out."""
    plain = re.sub(r"<[^>]*>|\[[^\]]*\]|\{[^}]*\}", " ", transcript).replace("-", " ")
    return [{"mr": "mister"}.get(word, word) for word in dictionary_words(plain)]


def errors(reference: list[str], heard: list[str]) -> int:
    """Words inserted, deleted and replaced: the Levenshtein distance."""
    row = list(range(len(heard) + 1))
    for line, expected in enumerate(reference, 1):
        above, row = row, [line]
        for column, word in enumerate(heard, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (expected != word)))
    return row[-1]
