"""Overrides of models, precisions and contexts."""

from __future__ import annotations

import pytest
from anchor_cli.plan.budget import Card
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.overrides import build_planner
from service_kit.errors import InvalidRequest


def card(gib: float, compute: float = 8.9) -> Card:
    return Card("card", "A card", int(gib * 1024), compute)


CATALOGUE = read_catalogue()


def test_fp8_voice_is_impossible_without_fp8_arithmetic() -> None:
    asked = build_planner(CATALOGUE, ["tts=higgs-v2@fp8"], None)
    assert asked.plan(CATALOGUE.card("rtx6000-ada")).fits
    assert asked.plan(CATALOGUE.card("a6000")).impossible == ("tts",)


def test_overridden_model_is_not_reduced() -> None:
    asked = build_planner(CATALOGUE, ["llm=mistral-nemo-12b@Q8_0", "tts=espeak"], None)
    plan = asked.plan(card(32))
    assert (plan.service("llm").choice.model, plan.service("llm").choice.weights) == ("mistral-nemo-12b", "Q8_0")
    assert plan.service("tts").choice.model == "espeak"
    assert not asked.plan(card(12)).fits


def test_overridden_model_without_precision_may_lose_bits() -> None:
    choice = build_planner(CATALOGUE, ["llm=mistral-small-24b"], None).plan(card(14, 7.5)).service("llm").choice
    assert (choice.model, choice.weights) == ("mistral-small-24b", "Q3_K_M")


def test_longer_context_is_tried_first_and_reduced_first() -> None:
    asked = build_planner(CATALOGUE, [], 32768)
    assert asked.plan(card(80)).service("llm").choice.context_tokens == 32768
    assert asked.plan(CATALOGUE.card("rtx6000-ada")).service("llm").choice.context_tokens == 16384


def test_shorter_context_is_not_raised() -> None:
    assert build_planner(CATALOGUE, [], 4096).plan(card(24)).service("llm").choice.context_tokens == 4096


@pytest.mark.parametrize(
    ("override", "words"),
    [("llm", "service=model"), ("cook=llama-3b", "stt, tts, llm"), ("llm=llama-3b@fp8", "not available")],
)
def test_invalid_override_is_rejected(override: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        build_planner(CATALOGUE, [override], None)


def test_context_beyond_training_is_rejected() -> None:
    with pytest.raises(InvalidRequest, match="32768"):
        build_planner(CATALOGUE, [], 65536)
