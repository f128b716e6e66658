"""The trigram model and its ARPA file."""

from __future__ import annotations

import math

import pytest
from stt_service.engines.pocketsphinx.language_model import END, START, TrigramModel

GENERAL = {"the": 0.5, "a": 0.3, "cat": 0.2}
RUNS = [
    [START, "the", "ferry", "leaves", END],
    [START, "the", "ferry", "waits", END],
    ["leaves", "late"],
]


@pytest.fixture
def model() -> TrigramModel:
    return TrigramModel(RUNS, GENERAL)


@pytest.fixture
def arpa(model: TrigramModel) -> dict[tuple[str, ...], tuple[float, float]]:
    """Probability and back-off weight of each n-gram in the ARPA file, linear."""
    grams: dict[tuple[str, ...], tuple[float, float]] = {}
    order = 0
    for line in model.arpa_lines():
        if line.endswith("-grams:"):
            order = int(line[1])
        elif order and line and not line.startswith("\\"):
            logarithm, *rest = line.split()
            backoff = float(rest[order]) if len(rest) > order else 0.0
            grams[tuple(rest[:order])] = (10 ** float(logarithm), 10**backoff)
    return grams


@pytest.mark.parametrize(
    "history",
    [(), (START,), ("the",), ("cat",), (START, "the"), ("the", "ferry"), ("leaves", "late")],
)
def test_probabilities_after_any_history_sum_to_one(model: TrigramModel, history: tuple[str, ...]) -> None:
    assert math.fsum(model.probability(word, history) for word in model.vocabulary) == pytest.approx(1)


def test_trained_words_are_likelier_than_others(model: TrigramModel) -> None:
    assert model.probability("ferry", (START, "the")) > model.probability("cat", (START, "the")) > 0
    assert model.probability("ferry", ("the",)) > model.probability("ferry")


def test_a_part_of_a_sentence_trains_neither_start_nor_end(model: TrigramModel) -> None:
    assert model.probability("late", ("leaves",)) > model.probability("late")
    assert model.probability("leaves", (START,)) < model.probability("leaves")


def test_the_arpa_file_gives_the_models_probabilities(
    model: TrigramModel, arpa: dict[tuple[str, ...], tuple[float, float]]
) -> None:
    def read(word: str, history: tuple[str, ...]) -> float:
        if (*history, word) in arpa:
            return arpa[(*history, word)][0]
        return arpa.get(history, (0.0, 1.0))[1] * read(word, history[1:])

    for history in [(START,), ("the",), ("ferry",), (START, "the"), ("the", "ferry"), ("cat", "the")]:
        for word in model.vocabulary:
            assert read(word, history) == pytest.approx(model.probability(word, history), rel=2e-3)


def test_without_text_the_general_words_remain() -> None:
    model = TrigramModel([], GENERAL)
    assert model.probability("cat") == pytest.approx(0.18)
    assert math.fsum(model.probability(word, (START,)) for word in model.vocabulary) == pytest.approx(1)
