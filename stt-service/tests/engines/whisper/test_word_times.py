"""Words and times from an alignment."""

from __future__ import annotations

import pytest
from stt_service.engine import Word
from stt_service.engines.whisper.word_times import aligned_words

# "Ġfer" begins at position 10, "ry" at 16, "Ġleaves" at 20, "." at 33.
ALIGNMENT = [(0, 10), (0, 11), (1, 16), (1, 17), (2, 20), (3, 33)]


def test_a_word_begins_at_its_first_position_and_ends_at_the_next() -> None:
    words = aligned_words(["Ġfer", "ry", "Ġleaves", "."], ALIGNMENT, [0.8, 0.6, 0.5, 0.9], 1000)
    assert words == (Word("ferry", 200, 400, pytest.approx(0.7)), Word("leaves.", 400, 1000, pytest.approx(0.7)))


def test_times_stay_inside_the_clip() -> None:
    words = aligned_words(["Ġfer", "ry", "Ġleaves", "."], ALIGNMENT, [1.0, 1.0, 1.0, 1.1], 300)
    assert [(word.start_ms, word.end_ms) for word in words] == [(200, 300), (300, 300)]
    assert words[1].confidence == 1.0


def test_a_space_alone_is_no_word() -> None:
    alignment = [(at, at) for at in range(4)]
    words = aligned_words(["Ġ", "Â¿", "que", "Ġes"], alignment, [1.0] * 4, 1000)
    assert [word.text for word in words] == ["¿que", "es"]
    assert aligned_words(["Ġ"], [(0, 0)], [1.0], 1000) == ()
    assert aligned_words([], [], [], 1000) == ()


def test_a_token_without_a_position_begins_where_the_last_word_ended() -> None:
    words = aligned_words(["Ġa", "Ġb", "Ġc"], [(0, 0), (2, 30)], [1.0] * 3, 1000)
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(word.start_ms <= word.end_ms <= 1000 for word in words)
