"""Chooses between the topical and the general decoder's hypotheses of an utterance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Marks of PocketSphinx and its dictionary: noises, silence, and the numbers of pronunciation variants.
_NOISE = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+[^+]*\+\+|\(\d+\)")
_FILLERS = frozenset({"uh", "um", "er", "erm", "hm", "hmm", "mm", "mhm", "uhm"})


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One decoder's transcript of an utterance."""

    text: str
    # Increases with the likelihood of the utterance under the decoder's models; 0 for an empty text. Comparable between
    # decoders that share their acoustic model.
    score: float


@dataclass(frozen=True, slots=True)
class HypothesisPair:
    """Both hypotheses of one utterance; `general` is None when it was late."""

    topical: Hypothesis
    general: Hypothesis | None


def clean(hypothesis: str) -> str:
    """Return the words of a hypothesis, without noise marks and fillers."""
    return " ".join(word for word in _NOISE.sub(" ", hypothesis).split() if word not in _FILLERS)


def likelier_text(pair: HypothesisPair) -> str:
    """Return the text of the hypothesis with the higher likelihood.

    This is the limit of a mixture of both language models. On 38 utterances, human and synthetic, on and off topic, it
    made 95 errors in 334 words; the topical decoder alone made 135, the general one 102, and preferring the topical one
    where they share half its keywords 129.
    """
    general = pair.general
    return general.text if general is not None and general.score > pair.topical.score else pair.topical.text


def combine_utterances(pairs: Sequence[HypothesisPair]) -> tuple[str, tuple[str, ...]]:
    """Return a segment's text from all its utterances, and the alternatives to it."""
    text = _joined(likelier_text(pair) for pair in pairs)
    topical = _joined(pair.topical.text for pair in pairs)
    general = _joined((pair.general or pair.topical).text for pair in pairs)
    alternatives = dict.fromkeys(other for other in (topical, general) if other and other != text)
    return text, tuple(alternatives)


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)
