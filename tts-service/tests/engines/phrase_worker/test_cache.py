"""The cache of phrases: what it keeps, and what makes room."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import numpy as np
import pytest
from tts_service.engine import Samples, Speech, Word
from tts_service.engines.phrase_worker.cache import PhraseCache, PhraseKey, replay

SECOND = 24_000


def key(text: str, **changes: object) -> PhraseKey:
    return PhraseKey(**{"text": text, "voice": "heart", "pace": 1.0, "language": "en", **changes})  # type: ignore[arg-type]


async def speech(samples: int, fails: bool = False) -> AsyncGenerator[Speech]:
    yield Word(0, 3, 0)
    yield Samples(np.full(samples, 0.25, np.float32))
    if fails:
        raise RuntimeError("the worker died")


async def say(cache: PhraseCache, phrase: PhraseKey, samples: int = SECOND) -> None:
    async for _ in cache.record(phrase, speech(samples)):
        pass


async def test_a_phrase_is_replayed_as_it_was_spoken() -> None:
    cache = PhraseCache(1 << 20)
    await say(cache, key("Hello."))
    pieces = cache.get(key("Hello."))
    assert pieces is not None
    word, samples = [piece async for piece in replay(pieces)]
    assert word == Word(0, 3, 0)
    assert isinstance(samples, Samples)
    np.testing.assert_allclose(samples.samples, 0.25, atol=1e-4)
    assert cache.size_bytes == 2 * SECOND


@pytest.mark.parametrize("changes", [{"voice": "em_alex"}, {"pace": 1.1}, {"language": "es"}])
async def test_another_voice_pace_or_language_is_another_phrase(changes: dict[str, object]) -> None:
    cache = PhraseCache(1 << 20)
    await say(cache, key("Hello."))
    assert cache.get(key("Hello.", **changes)) is None


async def test_the_phrase_not_spoken_for_longest_makes_room() -> None:
    # Eight phrases of an eighth each.
    cache = PhraseCache(8 * 2 * SECOND)
    for number in range(8):
        await say(cache, key(str(number)))
    assert cache.get(key("0")) is not None
    await say(cache, key("8"))
    assert cache.get(key("1")) is None
    assert cache.get(key("0")) is not None
    assert len(cache) == 8
    assert cache.size_bytes <= 8 * 2 * SECOND


async def test_a_phrase_too_long_for_the_cache_is_not_kept() -> None:
    cache = PhraseCache(8 * 2 * SECOND)
    await say(cache, key("long"), SECOND + 1)
    assert len(cache) == cache.size_bytes == 0


async def test_a_phrase_that_failed_or_was_cut_off_is_not_kept() -> None:
    cache = PhraseCache(1 << 20)
    with pytest.raises(RuntimeError):
        async for _ in cache.record(key("a"), speech(SECOND, fails=True)):
            pass
    cut = cache.record(key("b"), speech(SECOND))
    await anext(cut)
    await cut.aclose()
    assert len(cache) == 0


async def test_a_phrase_spoken_twice_at_once_counts_once() -> None:
    cache = PhraseCache(1 << 20)
    await say(cache, key("a"))
    await say(cache, key("a"))
    assert cache.size_bytes == 2 * SECOND


async def test_a_cache_of_no_size_keeps_nothing() -> None:
    cache = PhraseCache(0)
    await say(cache, key("a"))
    assert len(cache) == 0
