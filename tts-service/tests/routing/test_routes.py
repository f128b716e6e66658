"""The routing plan of the settings, and the merged voice list."""

from __future__ import annotations

from typing import Any

import pytest
from service_kit.errors import InvalidRequest
from tts_service.engine import Voice
from tts_service.engines import ENGINES
from tts_service.routing.routes import PROFILES, RoutingPlan, build_plan, merge_voices
from tts_service.settings import TtsSettings

NAMES = ("espeak", "hibari", "pocket-tts", "piper", "higgs", "csm", "scripted")


def plan(**settings: Any) -> RoutingPlan:
    return build_plan(TtsSettings(**{"models": "default", **settings}), NAMES)


def test_minimal_models_have_one_engine() -> None:
    assert plan(models="minimal").engines == ("espeak",)


def test_minimal_models_count_in_the_embedded_profile_only() -> None:
    assert plan(models="minimal", profile="cpu").main == "pocket-tts"


@pytest.mark.parametrize(
    ("profile", "language", "order"),
    [
        ("embedded", "en", ("hibari", "espeak")),
        ("embedded", "hi", ("espeak",)),
        ("cpu", "en", ("pocket-tts", "espeak")),
        ("cpu", "hi", ("piper", "pocket-tts", "espeak")),
        ("gpu", "en", ("higgs", "pocket-tts", "espeak")),
        ("gpu", "es", ("pocket-tts", "higgs", "espeak")),
        ("gpu", "hi", ("piper", "higgs", "pocket-tts", "espeak")),
    ],
)
def test_each_profile_has_an_engine_order_per_language(profile: str, language: str, order: tuple[str, ...]) -> None:
    assert plan(profile=profile).engine_order(language) == order


def test_every_engine_of_a_profile_is_registered() -> None:
    assert {name for profile in PROFILES.values() for name in profile.engines} <= set(ENGINES)


def test_configured_main_engine_has_no_fallbacks() -> None:
    assert plan(profile="gpu", engine="espeak").engines == ("espeak",)


def test_configured_routes_and_fallbacks_replace_the_profile() -> None:
    chosen = plan(profile="cpu", routes={"fr": "piper"}, fallback_engines=("csm",))
    assert chosen == RoutingPlan("pocket-tts", {"fr": "piper"}, ("csm",))
    assert plan(engine="higgs", routes={"hi": "piper"}).engine_order("hi") == ("piper", "higgs")


def test_engine_of_a_chosen_voice_comes_first() -> None:
    assert plan(profile="cpu").engine_order("en", "piper") == ("piper", "pocket-tts", "espeak")
    assert plan(profile="cpu").engine_order("en", "gone") == ("pocket-tts", "espeak")


def test_routes_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_ENGINE", "espeak")
    monkeypatch.setenv("TTS_ROUTES", '{"hi": "piper"}')
    monkeypatch.setenv("TTS_FALLBACK_ENGINES", '["scripted"]')
    assert plan().engines == ("espeak", "piper", "scripted")


@pytest.mark.parametrize(
    ("settings", "code", "named"),
    [
        ({"engine": "flite"}, "engine.unknown", "flite"),
        ({"engine": "espeak", "routes": {"hi": "piperr"}}, "engine.unknown", "piperr"),
        ({"engine": "espeak", "fallback_engines": ("higs",)}, "engine.unknown", "higs"),
        ({"engine": "espeak", "routes": {"hindi": "piper"}}, "tts.unknown_language", "hindi"),
        ({"engine": "espeak", "routes": {"HI": "piper"}}, "tts.unknown_language", "HI"),
    ],
)
def test_unknown_engines_and_languages_are_refused(settings: dict[str, Any], code: str, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as refused:
        plan(**settings)
    assert refused.value.code == code


def listed(plan: RoutingPlan, **voices: list[Voice]) -> list[tuple[str, tuple[str, ...]]]:
    return [(voice.id, voice.languages) for voice in merge_voices(plan, voices)]


def voice(name: str, *languages: str) -> Voice:
    return Voice(name, name, languages)


def test_merged_voice_names_its_engine() -> None:
    (only,) = merge_voices(RoutingPlan("higgs"), {"higgs": [voice("anna", "en")]})
    assert (only.id, only.engine, only.name) == ("higgs:anna", "higgs", "anna")


def test_first_voice_of_a_language_belongs_to_its_engine() -> None:
    plan = RoutingPlan("higgs", {"es": "pocket"}, ("espeak",))
    voices = listed(
        plan,
        higgs=[voice("own", "en", "de", "es")],
        pocket=[voice("alba", "es")],
        espeak=[voice("en", "en"), voice("es", "es"), voice("nl", "nl")],
    )
    assert voices == [
        ("pocket:alba", ("es",)),
        ("higgs:own", ("en", "de", "es")),
        ("espeak:en", ("en",)),
        ("espeak:es", ("es",)),
        ("espeak:nl", ("nl",)),
    ]


def test_voice_before_the_leading_engine_loses_that_language() -> None:
    plan = RoutingPlan("higgs", {"es": "piper"})
    voices = listed(plan, higgs=[voice("own", "en", "es")], piper=[voice("davefx", "es", "en")])
    assert voices == [("piper:davefx", ("es",)), ("higgs:own", ("en", "es"))]


def test_engine_without_a_voice_for_its_route_does_not_lead() -> None:
    assert listed(RoutingPlan("espeak", {"hi": "piper"}), espeak=[voice("hi", "hi")], piper=[]) == [
        ("espeak:hi", ("hi",))
    ]
