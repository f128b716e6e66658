"""Whether kokoro speaks on a machine: its settings, its model, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, write_profile
from tts_service.engine import Voice
from tts_service.engines import ENGINES
from tts_service.routing.kokoro_use import KOKORO_LANGUAGES, kokoro_languages
from tts_service.routing.routes import RoutingPlan, build_plan, merge_voices
from tts_service.settings import TtsSettings


def settings(folder: Path, **changes: Any) -> TtsSettings:
    return TtsSettings(
        **{"models": "default", "models_dir": folder, "machine_profile": folder / "machine.json", **changes}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kokoro").mkdir()
    return tmp_path


def measured(folder: Path, **speeds: tuple[float, float]) -> None:
    rows = {f"kokoro:{language}": EngineSpeed(*speed) for language, speed in speeds.items()}
    write_profile(folder / "machine.json", MachineProfile(2, 8 << 30, rows))


@pytest.mark.parametrize(
    ("first_s", "factor", "used"),
    [(0.6, 0.5, True), (0.61, 0.5, False), (0.6, 0.51, False), (0.1, 0.1, True), (1.8, 1.2, False)],
)
def test_a_language_must_be_fast_enough_in_both(folder: Path, first_s: float, factor: float, used: bool) -> None:
    measured(folder, it=(first_s, factor))
    assert kokoro_languages(settings(folder)) == (("it",) if used else ())


def test_an_unmeasured_machine_does_not_use_it(folder: Path) -> None:
    assert kokoro_languages(settings(folder)) == ()
    rows = {"hibari": EngineSpeed(0.1, 0.1), "kokoro": EngineSpeed(0.1, 0.1), "kokoro:de": EngineSpeed(0.1, 0.1)}
    write_profile(folder / "machine.json", MachineProfile(2, 8 << 30, rows))
    assert kokoro_languages(settings(folder)) == ()


def test_a_fast_machine_without_the_model_does_not_use_it(tmp_path: Path) -> None:
    measured(tmp_path, es=(0.1, 0.1))
    assert kokoro_languages(settings(tmp_path)) == ()


def test_the_setting_overrides_the_measurement(folder: Path) -> None:
    assert kokoro_languages(settings(folder, kokoro="on")) == KOKORO_LANGUAGES
    measured(folder, es=(0.1, 0.1))
    assert kokoro_languages(settings(folder, kokoro="off")) == ()


def test_each_language_is_decided_by_itself(folder: Path) -> None:
    measured(folder, es=(0.3, 0.3), fr=(0.9, 0.3), it=(0.3, 0.7), pt=(0.5, 0.5))
    plan = build_plan(settings(folder), ENGINES)
    for language in ("es", "pt"):
        assert plan.engine_order(language) == ("kokoro", "espeak")
    # Too slow, too slow, and not measured.
    for language in ("fr", "it", "hi"):
        assert plan.engine_order(language) == ("espeak",)
    assert plan.engine_order("en") == ("hibari", "espeak")
    assert plan.engine_order("de") == plan.engine_order("nl") == ("espeak",)


def test_the_first_voice_of_a_language_is_that_of_its_engine(folder: Path) -> None:
    """Kokoro's voices of the other languages stay in the list, to be chosen by name."""
    measured(folder, es=(0.3, 0.3), fr=(0.9, 0.3))
    plan = build_plan(settings(folder), ENGINES)
    spoken = {"espeak": ("es", "fr"), "kokoro": ("es", "fr"), "hibari": ("en",)}
    voices = {
        engine: [Voice(f"{engine}-{language}", "", (language,)) for language in languages]
        for engine, languages in spoken.items()
    }
    listed = merge_voices(plan, voices)
    first = {language: next(voice.id for voice in listed if language in voice.languages) for language in ("es", "fr")}
    assert first == {"es": "kokoro:kokoro-es", "fr": "espeak:espeak-fr"}
    assert "kokoro:kokoro-fr" in [voice.id for voice in listed]


def test_a_slow_machine_speaks_them_with_espeak(folder: Path) -> None:
    measured(folder, **dict.fromkeys(KOKORO_LANGUAGES, (1.8, 0.6)))
    assert build_plan(settings(folder), ENGINES) == RoutingPlan("espeak", {"en": "hibari"})


def test_minimal_models_never_use_it(folder: Path) -> None:
    assert build_plan(settings(folder, models="minimal", kokoro="on"), ENGINES) == RoutingPlan("espeak")
