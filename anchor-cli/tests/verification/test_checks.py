"""Every verdict, with figures just within and just beyond its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from anchor_cli.plan.budget import GIB
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.ladder import MemoryPlan
from anchor_cli.plan.overrides import build_planner
from anchor_cli.verification.checks import limits
from anchor_cli.verification.checks.files import check_codec, check_higgs, check_whole
from anchor_cli.verification.checks.language_model import LanguageModelFigures, Reading, check_language_model
from anchor_cli.verification.checks.machine import MachineFigures, check_machine
from anchor_cli.verification.checks.memory import MemoryFigures, ServiceRow, check_memory
from anchor_cli.verification.checks.recognition import RecognitionFigures, check_recognition
from anchor_cli.verification.checks.round_trip import SpokenSentence, check_round_trip
from anchor_cli.verification.checks.together import TogetherFigures, check_together
from anchor_cli.verification.checks.voice import VoiceFigures, check_plan, check_voice
from anchor_cli.verification.outcome import Check, Outcome, Result, rehearse


def failed(checks: Iterable[Check]) -> set[str]:
    """The names of the failed checks; each has a cure of one sentence."""
    found = [check for check in checks if check.verdict is Result.FAIL]
    assert all(check.cure.endswith(".") and ". " not in check.cure for check in found)
    return {check.name for check in found}


def plan_for(card: str) -> MemoryPlan:
    catalogue = read_catalogue()
    return build_planner(catalogue, [], None).plan(catalogue.card(card))


MACHINE = MachineFigures("gpu", "580.95.05", 8.9, 500, {"the models": 100.0}, "GPU 0: NVIDIA RTX 6000 Ada Generation")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set[str]()),
        ({"profile": "embedded"}, {"profile"}),
        ({"driver": "575.64"}, {"driver"}),
        ({"driver": ""}, {"driver"}),
        # 43.18 of 47.99 GiB are planned.
        ({"used_mib": 4900}, set[str]()),
        ({"used_mib": 5100}, {"free memory"}),
        ({"disk_gb": {"the models": 99.0}}, {"disk for the models"}),
        ({"card_in_container": ""}, {"containers see the card"}),
    ],
)
def test_machine(change: dict[str, Any], names: set[str]) -> None:
    assert failed(check_machine(replace(MACHINE, **change), plan_for("rtx6000-ada"))) == names


HIGGS = {"model_type": "higgs_audio_v2", "codebook_size": 1026}
WHOLE: dict[str, list[str]] = {"missing": [], "unexpected": [], "misshapen": []}
CODEC = {"model_type": "higgs_audio_v2_tokenizer"}
CODEC_TENSORS = (
    "acoustic_decoder.conv1.weight",
    "acoustic_encoder.conv1.weight",
    "semantic_model.encoder.layers.0.weight",
    "quantizer.quantizers.0.codebook.embed",
    "fc2.weight",
)


def test_files_of_the_speech_model() -> None:
    assert failed(check_higgs("higgs", HIGGS, WHOLE)) == set()
    assert failed(check_higgs("higgs", {**HIGGS, "model_type": "llama"}, WHOLE)) == {"speech model's type"}
    assert failed(check_higgs("higgs", {**HIGGS, "codebook_size": 1024}, WHOLE)) == {"codes per book"}
    for why in WHOLE:
        assert failed(check_higgs("higgs", HIGGS, {**WHOLE, why: ["model.norm"]})) == {"speech model's tensors"}


def test_a_language_model_in_the_codecs_place_fails() -> None:
    assert failed(check_codec("codec", CODEC, CODEC_TENSORS, 420_000_000)) == set()
    wrong = check_codec("codec", {"model_type": "higgs_audio_v2"}, ("model.layers.0.mlp.weight",), 10**10)
    assert failed(wrong) == {"codec's type", "codec's parts", "codec's size"}
    assert failed(check_codec("codec", CODEC, CODEC_TENSORS, 10**9)) == {"codec's size"}


def test_files_that_are_cut_off_fail() -> None:
    assert failed([check_whole({"a": (10, 10)})]) == set()
    assert failed([check_whole({"a": (10, 10), "b": (9, 10)})]) == {"weight files"}
    assert failed([check_whole({})]) == {"weight files"}


SENTENCE = {
    "seed": 1,
    "ended": True,
    "seconds": 3.2,
    "level_dbfs": -20.0,
    "longest_silence_s": 0.3,
    "streamed_error": 2e-5,
    "file": "learned-seed-1.wav",
}
# Of an RTX 6000 Ada: the floor is 6.11 ms.
SPEED = {
    "weights": "bf16",
    "slots": 1,
    "first_audio_ms": 210.0,
    "realtime_factor": 0.25,
    "step_ms": 9.7,
    "floor_ms": 6.11,
    "read_gb_s": 590.0,
}
MEMORY = {"name": "weights", "found_bytes": 10 * GIB, "planned_bytes": 10 * GIB}
VOICE: dict[str, Any] = {
    "device": "NVIDIA RTX 6000 Ada Generation",
    "greedy_rows": 60,
    "graph_equals_eager": True,
    "logit_error": 0.0345,
    "log_mel_distance": 0.6,
    "sentences": [SENTENCE],
    "speed": [SPEED],
    "likeness": 0.95,
    "memory": [MEMORY],
}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set[str]()),
        ({"graph_equals_eager": False}, {"graph equals eager"}),
        ({"greedy_rows": 59}, {"graph equals eager"}),
        ({"logit_error": 0.051}, {"logits against the library"}),
        ({"log_mel_distance": 2.1}, {"codec round trip"}),
        ({"sentences": [{**SENTENCE, "ended": False}]}, {"seed 1: ends by itself"}),
        ({"sentences": [{**SENTENCE, "seconds": 2.4}]}, {"seed 1: duration"}),
        ({"sentences": [{**SENTENCE, "seconds": 6.1}]}, {"seed 1: duration"}),
        ({"sentences": [{**SENTENCE, "level_dbfs": -31.0}]}, {"seed 1: level"}),
        ({"sentences": [{**SENTENCE, "level_dbfs": -11.0}]}, {"seed 1: level"}),
        ({"sentences": [{**SENTENCE, "longest_silence_s": 1.1}]}, {"seed 1: longest silence"}),
        ({"sentences": [{**SENTENCE, "streamed_error": 0.01}]}, {"seed 1: streamed against whole"}),
        # 1.6 times the floor is 9.78 ms.
        ({"speed": [{**SPEED, "step_ms": 9.8}]}, {"step with bf16, 1 slots"}),
        ({"speed": [{**SPEED, "realtime_factor": 1.01}]}, {"real-time factor with bf16, 1 slots"}),
        ({"likeness": 0.89}, {"one default voice"}),
        ({"memory": [{**MEMORY, "found_bytes": int(10.6 * GIB)}]}, {"memory beside the plan"}),
        ({"memory": []}, {"memory beside the plan"}),
    ],
)
def test_voice(change: dict[str, Any], names: set[str]) -> None:
    assert failed(check_voice(VoiceFigures(**{**VOICE, **change}))) == names


def test_weights_that_the_card_does_not_compute_are_skipped() -> None:
    checks = check_voice(VoiceFigures(**VOICE, unsupported={"fp8": "needs compute capability 8.9"}))
    assert [check.name for check in checks if check.verdict is Result.SKIP] == ["speed in fp8"]


@pytest.mark.parametrize(
    ("found", "planned", "verdict"),
    [
        (10.5, 10.0, Result.PASS),
        (10.51, 10.0, Result.FAIL),
        # Of small parts, 256 MiB count as nothing.
        (0.25, 0.0, Result.PASS),
        (0.26, 0.0, Result.FAIL),
    ],
)
def test_memory_may_differ_from_the_plan_by_a_little(found: float, planned: float, verdict: Result) -> None:
    assert check_plan([("cache", int(found * GIB), int(planned * GIB))]).verdict is verdict


LLM = LanguageModelFigures(
    size_bytes=14 * GIB,
    size_vram_bytes=14 * GIB,
    context_tokens=16384,
    planned_context_tokens=16384,
    tokens_per_s=40.0,
    first_token_s=0.2,
    cold_tokens_per_s=1500.0,
    repeated=Reading(0, 0.03),
    turns=(Reading(20, 0.05), Reading(20, 0.06)),
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set[str]()),
        ({"size_vram_bytes": 13 * GIB}, {"whole on the card"}),
        ({"size_bytes": 0, "size_vram_bytes": 0}, {"whole on the card"}),
        ({"context_tokens": 4096}, {"context"}),
        ({"context_tokens": None}, {"context"}),
        ({"tokens_per_s": 9.0}, {"generation"}),
        ({"first_token_s": 1.1}, {"first token"}),
        ({"repeated": Reading(0, 1.2)}, {"tokens read again, same prompt"}),
        # A history of 960 tokens is read again.
        ({"turns": (Reading(20, 0.05), Reading(20, 0.66))}, {"tokens read again, two sessions"}),
    ],
)
def test_language_model(change: dict[str, Any], names: set[str]) -> None:
    assert failed(check_language_model(replace(LLM, **change))) == names


RECOGNITION = RecognitionFigures(
    transcript="How is the weather looking for the weekend?",
    word_error_rate=0.0,
    final_s=0.4,
    partials=4,
    partial_word_error_rate=0.25,
    silence_transcript="",
    cancel_s=0.1,
    freed_bytes=9 * GIB,
    has_sleep_mode=True,
    woken_word_error_rate=0.0,
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set[str]()),
        ({"word_error_rate": 0.16}, {"word errors"}),
        ({"final_s": 1.1}, {"final transcript"}),
        ({"partials": 0, "partial_word_error_rate": None}, {"partial transcripts", "word errors of the last partial"}),
        ({"silence_transcript": "Thank you."}, {"silence"}),
        ({"cancel_s": 2.1}, {"cancelled request is gone after"}),
        ({"freed_bytes": 7 * GIB}, {"memory that sleeping frees"}),
        ({"freed_bytes": None}, {"memory that sleeping frees"}),
        ({"woken_word_error_rate": 1.0}, {"word errors after waking"}),
        ({"has_sleep_mode": False, "freed_bytes": None, "woken_word_error_rate": None}, set[str]()),
    ],
)
def test_recognition(change: dict[str, Any], names: set[str]) -> None:
    assert failed(check_recognition(replace(RECOGNITION, **change))) == names


def sentence(errors: float) -> SpokenSentence:
    return SpokenSentence("text", "transcript", errors, "numbers.wav")


@pytest.mark.parametrize(
    ("errors", "names"),
    [
        ((0.0, 0.1, 0.3), set[str]()),
        ((0.0, 0.0, 0.31), {"word errors of numbers.wav"}),
        ((0.0, 0.11, 0.11), {"median word errors"}),
        ((), {"sentences"}),
    ],
)
def test_round_trip(errors: tuple[float, ...], names: set[str]) -> None:
    assert failed(check_round_trip([sentence(rate) for rate in errors])) == names


TOGETHER = TogetherFigures(
    transcript="How is the weather?",
    reply_engine="ollama",
    response_ms=1500,
    budget_ms=2000,
    underruns=0,
    realtime_factors=(0.4, 0.5, 0.5, 0.6),
    host_memory_bytes=0,
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set[str]()),
        ({"transcript": ""}, {"question recognised"}),
        ({"response_ms": 2001}, {"response latency"}),
        ({"underruns": 1}, {"underruns"}),
        ({"realtime_factors": (0.4, 1.1)}, {"real-time factor under load"}),
        ({"realtime_factors": ()}, {"real-time factor under load"}),
        ({"host_memory_bytes": GIB}, {"language model in host memory"}),
    ],
)
def test_together(change: dict[str, Any], names: set[str]) -> None:
    assert failed(check_together(replace(TOGETHER, **change))) == names


TABLE = MemoryFigures(
    rows=(ServiceRow("tts-service", 12 * GIB, 11 * GIB, 12 * GIB),),
    free_bytes=2 * GIB,
    parked={"tts": (40 * GIB, 40 * GIB + 100 * limits.MIB)},
    turns=60,
    turns_s=601,
    before_turns_bytes=40 * GIB,
    after_turns_bytes=40 * GIB + 60 * limits.MIB,
)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set[str]()),
        ({"rows": (ServiceRow("tts-service", 12 * GIB, 11 * GIB, 13 * GIB),)}, {"memory beside the plan"}),
        ({"parked": {"tts": (40 * GIB, 41 * GIB)}}, {"tts: memory after waking"}),
        ({"parked": {"tts": (None, None)}}, {"tts: memory after waking"}),
        ({"parked": {}}, {"parked and woken"}),
        ({"turns_s": 300}, {"turns for"}),
        ({"after_turns_bytes": 40 * GIB + 65 * limits.MIB}, {"growth over 60 turns"}),
    ],
)
def test_memory(change: dict[str, Any], names: set[str]) -> None:
    assert failed(check_memory(replace(TABLE, **change))) == names


def test_unexplained_memory_is_the_drivers_figure_minus_the_services() -> None:
    assert TABLE.rows[0].unexplained_bytes == GIB
    assert ServiceRow("ollama", None, None, GIB).unexplained_bytes is None


def test_a_rehearsal_judges_no_limit_and_every_other_check() -> None:
    slow = rehearse(check_recognition(replace(RECOGNITION, final_s=9.0, freed_bytes=None, silence_transcript="Hm.")))
    verdicts = {check.name: check.verdict for check in slow}
    assert verdicts["final transcript"] is Result.PASS
    assert verdicts["memory that sleeping frees"] is Result.SKIP
    assert verdicts["silence"] is Result.FAIL


def test_a_step_fails_with_its_first_failed_checks_cure() -> None:
    outcome = Outcome(check_recognition(replace(RECOGNITION, final_s=9.0, cancel_s=9.0)))
    assert (outcome.verdict, outcome.cure.split()[0]) == (Result.FAIL, "Lower")
    assert Outcome(()).verdict is Result.SKIP
