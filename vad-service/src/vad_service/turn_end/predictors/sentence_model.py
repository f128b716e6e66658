"""An optional DistilBERT that classifies English sentences as finished or unfinished.

Its tokens are WordPiece over lower-case words: the longest known piece from the left. Implemented here because the
library for it would bring a model hub client and fifteen packages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from service_kit.errors import EngineFailed

from vad_service.onnx_session import open_onnx_session

# Only the last pieces are used: the end of a sentence shows whether it is finished, and each piece costs time.
_MAX_PIECES = 48
_NOT_LETTERS = re.compile(r"[^a-z]+")
# The index of the class "finished" in the logits.
_FINISHED = 1


class SentenceModel:
    """`model.onnx` and `vocab.txt` in one folder; English. Reads no file before `load`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: Any = None
        self._inputs: list[str] = []
        self._pieces: dict[str, int] = {}
        # ISO 639-1 languages it was trained on; empty before `load`.
        self.languages: frozenset[str] = frozenset()

    def is_installed(self) -> bool:
        """Return whether the model's folder exists."""
        return self._folder.is_dir()

    def load(self) -> None:
        """Load and warm up the model. Raises `EngineFailed` when a file is missing or invalid."""
        try:
            lines = (self._folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
            self._pieces = {piece: index for index, piece in enumerate(lines)}
            self._session = open_onnx_session(self._folder / "model.onnx")
            self._inputs = [each.name for each in self._session.get_inputs()]
            self.probability(["hello", "there"])
        except Exception as error:
            # Any exception of the library: the file may be no model, or another one.
            raise EngineFailed(
                "vad.sentence_model", f"{self._folder} must hold model.onnx and vocab.txt of a DistilBERT: {error}"
            ) from error
        self.languages = frozenset({"en"})

    def probability(self, words: Sequence[str]) -> float:
        """Return the probability that `words`, in lower case, are a finished sentence."""
        text = [letters for word in words if (letters := _NOT_LETTERS.sub("", word))]
        pieces = [piece for word in text for piece in self._word_pieces(word)][-_MAX_PIECES:]
        ids = np.array([[self._pieces["[CLS]"], *pieces, self._pieces["[SEP]"]]], np.int64)
        offered = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        (logits,) = self._session.run(["logits"], {name: offered[name] for name in self._inputs})
        odds = np.exp(logits[0] - logits[0].max())
        return float(odds[_FINISHED] / odds.sum())

    def _word_pieces(self, word: str) -> list[int]:
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in self._pieces), None)
            if end is None:
                return [self._pieces["[UNK]"]]
            found.append(self._pieces[prefix + word[start:end]])
            start = end
        return found
