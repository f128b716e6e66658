"""A DistilBERT that tells finished sentences from unfinished ones, for those who put its files in place.

Its tokens are WordPiece, which is the longest known piece from the left, over words in small letters; the library for
it would bring a client for model hubs and fifteen packages along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from service_kit.errors import EngineFailed

from vad_service.onnx_model import open_network

# How a sentence ends says whether it ends, and each piece costs time.
_LONGEST_PIECES = 48
_NOT_LETTERS = re.compile(r"[^a-z]+")
# Of the two classes, the one that means finished.
_FINISHED = 1


class SentenceModel:
    """`model.onnx` and `vocab.txt` in one folder; English. Reads nothing until it is loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: Any = None
        self._inputs: list[str] = []
        self._pieces: dict[str, int] = {}
        # ISO 639-1; what it was trained on.
        self.languages: frozenset[str] = frozenset()

    def is_there(self) -> bool:
        """Whether somebody put a model in place."""
        return self._folder.is_dir()

    def load(self) -> None:
        """Raises `EngineFailed` when a file is missing or not what it should be."""
        try:
            lines = (self._folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
            self._pieces = {piece: index for index, piece in enumerate(lines)}
            self._session = open_network(self._folder / "model.onnx")
            self._inputs = [each.name for each in self._session.get_inputs()]
            self.probability(["hello", "there"])
        except Exception as error:
            # Whatever the library raises about a file that is not a model, or not this one.
            raise EngineFailed(
                "vad.sentence_model", f"{self._folder} must hold model.onnx and vocab.txt of a DistilBERT: {error}"
            ) from error
        self.languages = frozenset({"en"})

    def probability(self, words: Sequence[str]) -> float:
        """Probability that `words`, in small letters, are a finished sentence."""
        text = [letters for word in words if (letters := _NOT_LETTERS.sub("", word))]
        pieces = [piece for word in text for piece in self._pieces_of(word)][-_LONGEST_PIECES:]
        ids = np.array([[self._pieces["[CLS]"], *pieces, self._pieces["[SEP]"]]], np.int64)
        offered = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        (logits,) = self._session.run(["logits"], {name: offered[name] for name in self._inputs})
        odds = np.exp(logits[0] - logits[0].max())
        return float(odds[_FINISHED] / odds.sum())

    def _pieces_of(self, word: str) -> list[int]:
        found: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            known = next((end for end in range(len(word), start, -1) if mark + word[start:end] in self._pieces), None)
            if known is None:
                return [self._pieces["[UNK]"]]
            found.append(self._pieces[mark + word[start:known]])
            start = known
        return found
