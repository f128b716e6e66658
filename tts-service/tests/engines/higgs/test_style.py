"""A style as higgs is told of it."""

from __future__ import annotations

import pytest
from tts_service.engine import Style
from tts_service.engines.higgs.phrase_limits import FRAME_MS, max_phrase_frames
from tts_service.engines.higgs.prompt import QUIET_ROOM
from tts_service.engines.higgs.style import build_style_prompt
from tts_service.synthesis.watchdog import MAX_TIMES_EXPECTED, expected_speech_ms

TEXT = "and this is what happened then"


@pytest.mark.parametrize(
    ("style", "told"),
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
def test_a_style_is_told_in_the_description_of_the_scene(style: Style, told: str) -> None:
    assert build_style_prompt(style, 0.3).scene == QUIET_ROOM + told


def test_a_voices_own_style_keeps_the_temperature_that_is_set() -> None:
    assert build_style_prompt(Style(), 0.3).temperature == 0.3
    assert build_style_prompt(Style(pace=0.5, warmth=1.0), 0.3).temperature == 0.3


def test_liveliness_and_humour_make_speech_freer() -> None:
    calm, lively = (build_style_prompt(Style(energy=energy), 0.4).temperature for energy in (0.0, 1.0))
    earnest, playful = (build_style_prompt(Style(humour=humour), 0.4).temperature for humour in (0.0, 1.0))
    assert (calm, lively) == (pytest.approx(0.3), pytest.approx(0.5))
    assert (earnest, playful) == (pytest.approx(0.35), pytest.approx(0.45))


@pytest.mark.parametrize("temperature", [0.05, 0.2, 0.3, 0.9, 1.5])
@pytest.mark.parametrize("trait", [0.0, 1.0])
def test_the_temperature_stays_within_bounds(temperature: float, trait: float) -> None:
    moved = build_style_prompt(Style(energy=trait, humour=trait), temperature).temperature
    assert min(0.2, temperature) <= moved <= max(0.9, temperature)


def test_slow_speech_may_last_longer_and_fast_speech_as_long_as_the_reply_bears_it() -> None:
    assert max_phrase_frames(TEXT, 0.5) == pytest.approx(2 * max_phrase_frames(TEXT), abs=1)
    for pace in (0.5, 1.0, 1.5, 2.0):
        assert max_phrase_frames(TEXT, pace) * FRAME_MS <= MAX_TIMES_EXPECTED * expected_speech_ms(TEXT, pace)
    assert max_phrase_frames(TEXT, 1.5) == max_phrase_frames(TEXT)
