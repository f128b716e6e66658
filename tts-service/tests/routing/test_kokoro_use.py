"""Whether kokoro speaks on a machine: its settings, its model, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, write_profile
from tts_service.engines import ENGINES
from tts_service.routing.kokoro_use import uses_kokoro
from tts_service.routing.routes import RoutingPlan, build_plan
from tts_service.settings import TtsSettings


def settings(folder: Path, **changes: Any) -> TtsSettings:
    return TtsSettings(
        **{"models": "default", "models_dir": folder, "machine_profile": folder / "machine.json", **changes}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kokoro").mkdir()
    return tmp_path


def measured(folder: Path, first_s: float, factor: float, name: str = "kokoro") -> None:
    write_profile(folder / "machine.json", MachineProfile(2, 8 << 30, {name: EngineSpeed(first_s, factor)}))


@pytest.mark.parametrize(
    ("first_s", "factor", "used"),
    [(0.6, 0.5, True), (0.61, 0.5, False), (0.6, 0.51, False), (0.1, 0.1, True), (1.8, 1.2, False)],
)
def test_a_machine_must_be_fast_enough_in_both(folder: Path, first_s: float, factor: float, used: bool) -> None:
    measured(folder, first_s, factor)
    assert uses_kokoro(settings(folder)) is used


def test_an_unmeasured_machine_does_not_use_it(folder: Path) -> None:
    assert not uses_kokoro(settings(folder))
    measured(folder, 0.1, 0.1, name="hibari")
    assert not uses_kokoro(settings(folder))


def test_a_fast_machine_without_the_model_does_not_use_it(tmp_path: Path) -> None:
    measured(tmp_path, 0.1, 0.1)
    assert not uses_kokoro(settings(tmp_path))


def test_the_setting_overrides_the_measurement(folder: Path) -> None:
    assert uses_kokoro(settings(folder, kokoro="on"))
    measured(folder, 0.1, 0.1)
    assert not uses_kokoro(settings(folder, kokoro="off"))


def test_a_fast_machine_speaks_five_languages_with_it(folder: Path) -> None:
    measured(folder, 0.3, 0.3)
    plan = build_plan(settings(folder), ENGINES)
    for language in ("es", "fr", "it", "pt", "hi"):
        assert plan.engine_order(language) == ("kokoro", "espeak")
    assert plan.engine_order("en") == ("hibari", "espeak")
    assert plan.engine_order("de") == plan.engine_order("nl") == ("espeak",)


def test_a_slow_machine_speaks_them_with_espeak(folder: Path) -> None:
    measured(folder, 1.8, 0.6)
    assert build_plan(settings(folder), ENGINES) == RoutingPlan("espeak", {"en": "hibari"})


def test_minimal_models_never_use_it(folder: Path) -> None:
    assert build_plan(settings(folder, models="minimal", kokoro="on"), ENGINES) == RoutingPlan("espeak")
