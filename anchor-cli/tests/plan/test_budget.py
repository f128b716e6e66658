"""Caches by hand, every card's verdict as a table, and what is given up in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from anchor_cli.plan.budget import GIB, Basis, Card, Figure, ModelChoice, cache_bytes, estimate_memory
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.ladder import Planner
from anchor_cli.plan.overrides import build_planner
from service_kit.errors import InvalidRequest, NotFound

CATALOGUE = read_catalogue()
KIB = 1024


@pytest.fixture
def planner() -> Planner:
    return build_planner(CATALOGUE, [], None)


def card(gib: float, compute: float = 8.9) -> Card:
    return Card("card", "A card", int(gib * 1024), compute)


@pytest.mark.parametrize(
    ("name", "cache", "bytes_per_token"),
    [
        # Layers x (keys and values) x heads x values of a head x bytes of a value.
        ("mistral-small-24b", "f16", 40 * 2 * 8 * 128 * 2),
        ("mistral-small-24b", "q8_0", 85 * KIB),
        ("voxtral-3b", "f16", 120 * KIB),
        ("voxtral-4b-realtime", "f16", 104 * KIB),
        ("higgs-v2", "f16", 112 * KIB),
        ("llama-8b", "f16", 128 * KIB),
    ],
)
def test_a_token_takes_in_the_cache_what_the_formula_says(name: str, cache: str, bytes_per_token: int) -> None:
    shape = CATALOGUE.model(name).shape
    assert shape is not None
    one, two = (cache_bytes(shape, ModelChoice(name, "", 1, tokens, cache)) for tokens in (1000, 2000))
    assert two - one == 1000 * bytes_per_token


def test_each_slot_has_a_context_of_its_own() -> None:
    shape = CATALOGUE.model("mistral-small-24b").shape
    assert shape is not None
    assert cache_bytes(shape, ModelChoice("", "", 2, 16384)) == 5 * GIB


def test_voices_that_were_spoken_in_stay_cached_beside_the_slots() -> None:
    shape = CATALOGUE.model("higgs-v2").shape
    assert shape is not None
    assert cache_bytes(shape, ModelChoice("", "", 0, 1536)) == 16 * 450 * 112 * KIB


def test_an_encoder_that_streams_keeps_its_window_for_every_stream() -> None:
    shape = CATALOGUE.model("voxtral-4b-realtime").shape
    assert shape is not None
    assert cache_bytes(shape, ModelChoice("", "", 1, 0)) == 750 * 256 * KIB


def test_what_runs_on_the_processor_takes_nothing_of_the_card() -> None:
    choice = ModelChoice("pocket-tts", "f32", 2, 0)
    memory = estimate_memory("tts", choice, CATALOGUE.model("pocket-tts"), CATALOGUE.runtimes)
    assert memory.total_bytes == 0


def test_figures_say_where_they_come_from(planner: Planner) -> None:
    stt = planner.plan(CATALOGUE.card("rtx6000-ada")).service("stt")
    assert [figure.basis for figure in stt.figures] == [Basis.COMPUTED, Basis.COMPUTED, Basis.ASSUMED, Basis.ASSUMED]


def test_a_file_that_is_there_counts_before_its_shape() -> None:
    model = replace(CATALOGUE.model("llama-3b"), file_weights_bytes=123)
    memory = estimate_memory("llm", ModelChoice("llama-3b", "as the file", 1, 512), model, CATALOGUE.runtimes)
    assert memory.weights == Figure(123, Basis.READ)


VERDICTS = {
    # card: GiB in use at most, then model, weights, slots, context, cache of stt, tts and llm
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
def test_every_card_of_the_catalogue_has_its_verdict(planner: Planner, name: str) -> None:
    at_most_gib, *expected = VERDICTS[name]
    plan = planner.plan(CATALOGUE.card(name))
    found = [
        (choice.model, choice.weights, choice.slots, choice.context_tokens, choice.cache)
        for choice in (service.choice for service in plan.services)
    ]
    assert plan.fits
    assert found == expected
    assert plan.total_bytes / GIB <= at_most_gib


def test_no_card_of_the_catalogue_is_without_a_verdict() -> None:
    assert VERDICTS.keys() == CATALOGUE.cards.keys()


def test_a_card_of_48_gib_gives_up_nothing(planner: Planner) -> None:
    assert planner.plan(CATALOGUE.card("rtx6000-ada")).given_up == ()


@pytest.mark.parametrize("gib", range(10, 60, 2))
def test_a_larger_card_never_has_to_give_up_the_models_of_a_smaller_one(planner: Planner, gib: int) -> None:
    order = ("llama-3b", "llama-8b", "mistral-nemo-12b", "mistral-small-24b")
    smaller, larger = (planner.plan(card(size)).service("llm").choice.model for size in (gib, gib + 2))
    assert order.index(smaller) <= order.index(larger)


@pytest.mark.parametrize("gib", range(10, 60, 2))
def test_a_plan_that_fits_could_not_do_with_one_step_less(planner: Planner, gib: int) -> None:
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


def test_what_is_given_up_first_is_what_is_missed_least(planner: Planner) -> None:
    assert planner.plan(card(43)).given_up == ("the language model's context is 8192 tokens",)


def test_a_card_too_small_for_anything_gets_the_smallest_plan_and_a_no(planner: Planner) -> None:
    plan = planner.plan(card(4))
    assert not plan.fits
    assert plan.spare_bytes < 0
    assert plan.service("llm").choice.model == "llama-3b"


def test_an_old_card_is_not_given_what_it_cannot_compute(planner: Planner) -> None:
    plan = planner.plan(card(48, compute=7.5))
    assert plan.fits
    assert {service.choice.weights for service in plan.services}.isdisjoint({"bf16", "int8", "fp8"})
    assert plan.service("llm").choice.context_tokens == 16384


@pytest.mark.parametrize(
    ("runtime", "weights", "compute", "works"),
    [
        ("torch", "bf16", 7.5, False),
        ("torch", "int8", 8.0, True),
        ("torch", "fp8", 8.6, False),
        ("torch", "fp8", 8.9, True),
        # Unpacked as they are read, where the card cannot multiply them.
        ("vllm", "fp8", 8.6, True),
        ("vllm", "fp8", 7.5, False),
        ("ctranslate2", "int8_float16", 7.5, True),
        ("cpu", "f32", 5.0, True),
    ],
)
def test_what_a_card_computes_depends_on_who_asks_for_it(
    runtime: str, weights: str, compute: float, works: bool
) -> None:
    assert card(48, compute).supports(weights, CATALOGUE.runtimes[runtime]) is works


def test_a_voice_in_fp8_is_refused_where_only_its_layers_could_be_kept_so() -> None:
    asked = build_planner(CATALOGUE, ["tts=higgs-v2@fp8"], None)
    assert asked.plan(CATALOGUE.card("rtx6000-ada")).fits
    assert asked.plan(CATALOGUE.card("a6000")).impossible == ("tts",)


def test_the_voice_loses_bits_before_it_leaves_the_card(planner: Planner) -> None:
    larger, smaller = (planner.plan(card(gib)).service("tts").choice for gib in (36, 24))
    assert (larger.model, larger.weights) == ("higgs-v2", "int8")
    assert smaller.model == "pocket-tts"


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


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="rtx4090"):
        CATALOGUE.card("voodoo2")
    with pytest.raises(NotFound, match="llama-8b"):
        build_planner(CATALOGUE, ["llm=hal"], None)
