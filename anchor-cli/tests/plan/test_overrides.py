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


def test_a_voice_in_fp8_is_refused_where_only_its_layers_could_be_kept_so() -> None:
    asked = build_planner(CATALOGUE, ["tts=higgs-v2@fp8"], None)
    assert asked.plan(CATALOGUE.card("rtx6000-ada")).fits
    assert asked.plan(CATALOGUE.card("a6000")).impossible == ("tts",)


def test_a_model_asked_for_is_not_given_up() -> None:
    asked = build_planner(CATALOGUE, ["llm=mistral-nemo-12b@Q8_0", "tts=espeak"], None)
    plan = asked.plan(card(32))
    assert (plan.service("llm").choice.model, plan.service("llm").choice.weights) == ("mistral-nemo-12b", "Q8_0")
    assert plan.service("tts").choice.model == "espeak"
    assert not asked.plan(card(12)).fits


def test_a_model_asked_for_without_a_precision_may_lose_bits_but_keeps_its_name() -> None:
    choice = build_planner(CATALOGUE, ["llm=mistral-small-24b"], None).plan(card(14, 7.5)).service("llm").choice
    assert (choice.model, choice.weights) == ("mistral-small-24b", "Q3_K_M")


def test_a_longer_context_is_tried_first_and_given_up_first() -> None:
    asked = build_planner(CATALOGUE, [], 32768)
    assert asked.plan(card(80)).service("llm").choice.context_tokens == 32768
    assert asked.plan(CATALOGUE.card("rtx6000-ada")).service("llm").choice.context_tokens == 16384


def test_a_short_context_asked_for_is_not_made_longer() -> None:
    assert build_planner(CATALOGUE, [], 4096).plan(card(24)).service("llm").choice.context_tokens == 4096


@pytest.mark.parametrize(
    ("wish", "words"),
    [("llm", "service=model"), ("cook=llama-3b", "stt, tts, llm"), ("llm=llama-3b@fp8", "not available")],
)
def test_a_wish_that_cannot_be_is_refused(wish: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        build_planner(CATALOGUE, [wish], None)


def test_a_context_beyond_the_training_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="32768"):
        build_planner(CATALOGUE, [], 65536)
