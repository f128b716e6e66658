"""The mapping of a style to a scene description and a temperature."""

from __future__ import annotations

import pytest
from tts_service.engine import Style
from tts_service.engines.higgs.prompt import QUIET_ROOM
from tts_service.engines.higgs.style import build_style_prompt


@pytest.mark.parametrize(
    ("style", "description"),
    [
        (Style(), ""),
        (Style(warmth=0.5, humour=0.5, energy=0.5), ""),
        (Style(warmth=1.0), " The speaker's tone is warm."),
        (Style(warmth=0.0, energy=0.2), " The speaker's tone is cool and calm."),
        (Style(warmth=0.9, humour=0.8, energy=0.7), " The speaker's tone is warm, playful and lively."),
        (Style(humour=0.1), " The speaker's tone is earnest."),
        (Style(pace=1.2), " The speaker talks fast."),
        (Style(pace=2.0), " The speaker talks very fast."),
        (Style(pace=0.8), " The speaker talks slowly."),
        (Style(pace=0.5, energy=0.0), " The speaker's tone is calm. The speaker talks very slowly."),
    ],
)
def test_style_is_described_in_the_scene(style: Style, description: str) -> None:
    assert build_style_prompt(style, 0.3).scene == QUIET_ROOM + description


def test_neutral_style_keeps_the_configured_temperature() -> None:
    assert build_style_prompt(Style(), 0.3).temperature == 0.3
    assert build_style_prompt(Style(pace=0.5, warmth=1.0), 0.3).temperature == 0.3


def test_energy_and_humour_raise_the_temperature() -> None:
    calm, lively = (build_style_prompt(Style(energy=energy), 0.4).temperature for energy in (0.0, 1.0))
    earnest, playful = (build_style_prompt(Style(humour=humour), 0.4).temperature for humour in (0.0, 1.0))
    assert (calm, lively) == (pytest.approx(0.3), pytest.approx(0.5))
    assert (earnest, playful) == (pytest.approx(0.35), pytest.approx(0.45))


@pytest.mark.parametrize("temperature", [0.05, 0.2, 0.3, 0.9, 1.5])
@pytest.mark.parametrize("trait", [0.0, 1.0])
def test_temperature_stays_within_bounds(temperature: float, trait: float) -> None:
    shifted = build_style_prompt(Style(energy=trait, humour=trait), temperature).temperature
    assert min(0.2, temperature) <= shifted <= max(0.9, temperature)
