"""Plans for each card, and the order of reductions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from anchor_cli.plan.budget import GIB, Card
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.ladder import Planner


def card(gib: float, compute: float = 8.9) -> Card:
    return Card("card", "A card", int(gib * 1024), compute)


CATALOGUE = read_catalogue()

VERDICTS = {
    # card: maximum GiB in use, then (model, weights, slots, context, cache) of stt, tts and llm
    "rtx6000-ada": (
        46.0,
        ("voxtral-3b", "bf16", 4, 2048, "f16"),
        ("higgs-v2", "bf16", 4, 1536, "f16"),
        ("mistral-small-24b", "Q4_K_M", 2, 16384, "f16"),
    ),
    "a6000": (
        46.0,
        ("voxtral-3b", "bf16", 4, 2048, "f16"),
        ("higgs-v2", "bf16", 4, 1536, "f16"),
        ("mistral-small-24b", "Q4_K_M", 2, 16384, "f16"),
    ),
    "l40s": (
        43.0,
        ("voxtral-3b", "bf16", 4, 2048, "f16"),
        ("higgs-v2", "bf16", 4, 1536, "f16"),
        ("mistral-small-24b", "Q4_K_M", 2, 8192, "f16"),
    ),
    "rtx5090": (
        29.9,
        ("voxtral-3b", "fp8", 2, 2048, "f16"),
        ("higgs-v2", "int8", 2, 1536, "f16"),
        ("mistral-small-24b", "IQ4_XS", 1, 8192, "f16"),
    ),
    "rtx4090": (
        22.0,
        ("voxtral-3b", "fp8", 2, 2048, "f16"),
        ("pocket-tts", "f32", 2, 0, "f16"),
        ("mistral-small-24b", "IQ4_XS", 1, 8192, "f16"),
    ),
    "t4": (
        13.0,
        ("whisper-turbo", "int8_float16", 2, 1948, "f16"),
        ("pocket-tts", "f32", 2, 0, "f16"),
        ("mistral-nemo-12b", "Q4_K_M", 2, 8192, "f16"),
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_every_card_gets_the_expected_plan(planner: Planner, name: str) -> None:
    at_most_gib, *expected = VERDICTS[name]
    plan = planner.plan(CATALOGUE.card(name))
    found = [
        (choice.model, choice.weights, choice.slots, choice.context_tokens, choice.cache)
        for choice in (service.choice for service in plan.services)
    ]
    assert plan.fits
    assert found == expected
    assert plan.total_bytes / GIB <= at_most_gib


def test_every_card_has_an_expected_plan() -> None:
    assert VERDICTS.keys() == CATALOGUE.cards.keys()


def test_48_gib_card_needs_no_reductions(planner: Planner) -> None:
    assert planner.plan(CATALOGUE.card("rtx6000-ada")).given_up == ()


@pytest.mark.parametrize("gib", range(10, 60, 2))
def test_larger_card_never_gets_a_smaller_model(planner: Planner, gib: int) -> None:
    order = ("llama-3b", "llama-8b", "mistral-nemo-12b", "mistral-small-24b")
    smaller, larger = (planner.plan(card(size)).service("llm").choice.model for size in (gib, gib + 2))
    assert order.index(smaller) <= order.index(larger)


@pytest.mark.parametrize("gib", range(10, 60, 2))
def test_fitting_plan_has_no_unnecessary_step(planner: Planner, gib: int) -> None:
    plan = planner.plan(card(gib))
    assert plan.fits
    assert plan.total_bytes <= plan.card.budget_bytes
    taken = [step for step in planner.steps if step.description in plan.given_up]
    for needless in taken:
        rest = [step for step in taken if step is not needless]
        choices = dict(planner.preferred)
        for step in rest:
            choices = step.apply_to(choices)
        assert not replace(planner, preferred=choices, steps=()).plan(card(gib)).fits


def test_first_reduction_is_the_context(planner: Planner) -> None:
    assert planner.plan(card(43)).given_up == ("the language model's context is 8192 tokens",)


def test_too_small_card_gets_the_smallest_plan_that_does_not_fit(planner: Planner) -> None:
    plan = planner.plan(card(4))
    assert not plan.fits
    assert plan.spare_bytes < 0
    assert plan.service("llm").choice.model == "llama-3b"


def test_old_card_gets_only_supported_precisions(planner: Planner) -> None:
    plan = planner.plan(card(48, compute=7.5))
    assert plan.fits
    assert {service.choice.weights for service in plan.services}.isdisjoint({"bf16", "int8", "fp8"})
    assert plan.service("llm").choice.context_tokens == 16384


def test_voice_is_quantised_before_it_moves_to_the_cpu(planner: Planner) -> None:
    larger, smaller = (planner.plan(card(gib)).service("tts").choice for gib in (36, 24))
    assert (larger.model, larger.weights) == ("higgs-v2", "int8")
    assert smaller.model == "pocket-tts"
