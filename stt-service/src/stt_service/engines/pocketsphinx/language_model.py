"""A trigram language model of the training sentences, mixed with general word frequencies.

Each order is interpolated with the one below it, after Witten and Bell (1991); Chen and Goodman (1998, section 2.5)
give the form used here for language models:

    P(w | h) = l(h) * c(h, w) / c(h) + (1 - l(h)) * P(w | h'),    l(h) = c(h) / (c(h) + K * t(h))

with c a count, t(h) the number of different words seen after h, and h' the history without its first word. K = 1 is the
original; a higher K gives the few sentences of a knowledge folder less weight. The unigrams are a fixed mix of the
text's own and of `general`, so that every common word can be recognised.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

START = "<s>"
END = "</s>"
# The share of the sentence end in the general unigrams.
GENERAL_END = 0.1
# log10 of a probability of zero, by the ARPA format's convention.
ZERO_LOG10 = -99.0

Gram = tuple[str, ...]


class TrigramModel:
    """Word probabilities given up to two preceding words.

    `runs` are runs of training words: a whole sentence goes from `<s>` to `</s>`; a part of one lacks either mark.
    `general` holds the probabilities of common words, with sum 1. `own_weight` is the share of the training text in the
    unigrams; `strength` is K above.
    """

    def __init__(
        self, runs: Iterable[Sequence[str]], general: Mapping[str, float], own_weight: float = 0.5, strength: float = 3
    ) -> None:
        self._general = general
        self._strength = strength
        # `_counts`: n-gram counts for the orders 1 to 3. `_totals` and `_followers`: by history, the total count and
        # the words seen after it.
        self._counts: tuple[Counter[Gram], ...] = (Counter(), Counter(), Counter())
        self._totals: Counter[Gram] = Counter()
        self._followers: defaultdict[Gram, set[str]] = defaultdict(set)
        for run in runs:
            self._count(run)
        self._own_weight = own_weight if self._totals[()] else 0.0
        own = {gram[0] for gram in self._counts[0]}
        self.vocabulary: tuple[str, ...] = tuple(sorted(own | set(general) | {END}))

    def _count(self, run: Sequence[str]) -> None:
        for position, word in enumerate(run):
            if word == START:
                continue
            for order in range(min(3, position + 1)):
                history = tuple(run[position - order : position])
                self._counts[order][(*history, word)] += 1
                self._totals[history] += 1
                self._followers[history].add(word)

    def probability(self, word: str, history: Gram = ()) -> float:
        """Return P(`word` | `history`) for a history of at most two words."""
        if not history:
            general = (1 - GENERAL_END) * self._general.get(word, 0.0) + (GENERAL_END if word == END else 0.0)
            own = self._counts[0][(word,)] / self._totals[()] if self._own_weight else 0.0
            return self._own_weight * own + (1 - self._own_weight) * general
        lower = self.probability(word, history[1:])
        total = self._totals[history]
        if not total:
            return lower
        trust = total / (total + self._strength * len(self._followers[history]))
        return trust * self._counts[len(history)][(*history, word)] / total + (1 - trust) * lower

    def backoff(self, history: Gram) -> float:
        """Return the weight of P(w | shorter history) for words never seen after `history`."""
        seen = self._followers.get(history, ())
        here = sum(self.probability(word, history) for word in seen)
        below = sum(self.probability(word, history[1:]) for word in seen)
        # With a tiny vocabulary, every word may have been seen here; then no probability is left to back off to.
        return (1 - here) / (1 - below) if below < 1 - 1e-9 else 1.0

    def arpa_lines(self) -> Iterator[str]:
        """Yield the lines of the model's ARPA file, which PocketSphinx reads."""
        orders: list[list[Gram]] = [[(word,) for word in (START, *self.vocabulary)]]
        orders += [sorted(counts) for counts in self._counts[1:]]
        yield "\\data\\"
        yield from (f"ngram {order}={len(grams)}" for order, grams in enumerate(orders, 1))
        for order, grams in enumerate(orders, 1):
            yield ""
            yield f"\\{order}-grams:"
            yield from (self._line(gram, highest=order == len(orders)) for gram in grams)
        yield ""
        yield "\\end\\"

    def _line(self, gram: Gram, highest: bool) -> str:
        logarithm = ZERO_LOG10 if gram == (START,) else math.log10(self.probability(gram[-1], gram[:-1]))
        line = f"{logarithm:.4f} {' '.join(gram)}"
        return line if highest or gram[-1] == END else f"{line} {math.log10(self.backoff(gram)):.4f}"
