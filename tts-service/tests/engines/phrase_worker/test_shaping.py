"""Trimming, level and the places of words."""

from __future__ import annotations

import numpy as np
import pytest
from tts_service.engines.phrase_worker.shaping import WordPlaces, active_level, ends_sentence, shape_speech

RATE_HZ = 24_000


def speech(silence_s: float, sound_s: float, after_s: float) -> np.ndarray:
    parts = [np.zeros(int(silence_s * RATE_HZ)), np.full(int(sound_s * RATE_HZ), 0.2), np.zeros(int(after_s * RATE_HZ))]
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize(("sentence", "pause_s"), [(True, 0.32), (False, 0.14)])
def test_silence_is_trimmed_to_a_pause(sentence: bool, pause_s: float) -> None:
    shaped = shape_speech(speech(0.3, 1.0, 0.5), 2.0, RATE_HZ, sentence)
    assert shaped.dtype == np.float32
    assert shaped.size / RATE_HZ == pytest.approx(0.04 + 1.0 + pause_s, abs=0.001)
    assert shaped.max() == pytest.approx(0.4)


def test_speech_with_less_silence_keeps_what_it_has() -> None:
    assert shape_speech(speech(0.0, 1.0, 0.1), 1.0, RATE_HZ, True).size == round(RATE_HZ * 1.1)


def test_silence_alone_becomes_nothing() -> None:
    assert shape_speech(speech(1.0, 0.0, 0.0), 1.0, RATE_HZ, True).size == 0
    assert shape_speech(np.zeros(0, np.float32), 1.0, RATE_HZ, True).size == 0


def test_level_leaves_the_pauses_out() -> None:
    assert active_level(speech(1.0, 1.0, 2.0), RATE_HZ) == pytest.approx(0.2, rel=0.02)
    assert active_level(np.zeros(RATE_HZ, np.float32), RATE_HZ) == 0
    assert active_level(np.zeros(10, np.float32), RATE_HZ) == 0


@pytest.mark.parametrize(("text", "ends"), [("Yes.", True), ('He said "no!"', True), ("First,", False), ("and", False)])
def test_a_sentence_ends_with_its_mark(text: str, ends: bool) -> None:
    assert ends_sentence(text) is ends


def test_words_are_placed_by_their_letters_within_the_sound() -> None:
    sound = speech(0.5, 2.0, 0.5)
    words = WordPlaces("aaaa aaaa", 10).pop_until(1.0, 0.0, sound, 1000)
    assert [(word.first_char, word.chars) for word in words] == [(10, 4), (15, 4)]
    assert words[0].first_sample == 1000 + RATE_HZ // 2
    assert words[1].first_sample == pytest.approx(1000 + 1.5 * RATE_HZ, abs=100)


def test_parts_take_the_words_of_their_share_and_the_last_takes_all() -> None:
    places = WordPlaces("one two three four", 0)
    sound = speech(0.0, 1.0, 0.0)
    first = places.pop_until(0.5, 0.0, sound, 0)
    last = places.pop_until(1.0, 0.5, sound, RATE_HZ)
    assert [word.first_char for word in (*first, *last)] == [0, 4, 8, 14]
    assert all(word.first_sample < RATE_HZ for word in first)
    assert all(word.first_sample >= RATE_HZ for word in last)


def test_a_silent_part_places_its_words_at_its_start() -> None:
    (word,) = WordPlaces("one", 0).pop_until(1.0, 0.0, np.zeros(0, np.float32), 77)
    assert word.first_sample == 77
