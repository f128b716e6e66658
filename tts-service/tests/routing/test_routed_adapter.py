"""Cloning and parking across several engines."""

from __future__ import annotations

import pytest
from service_kit.engines.memory import MemoryKind, ParkableEngine
from service_kit.errors import InvalidRequest, NotFound, Unsupported
from tone_engines import RoutedTones
from tts_service.engine import CloningEngine


@pytest.fixture
def tones() -> RoutedTones:
    return RoutedTones()


async def test_voice_is_cloned_by_the_engine_that_can(tones: RoutedTones) -> None:
    async with tones.adapter.lifespan():
        assert isinstance(tones.adapter, CloningEngine)
        voice = await tones.adapter.add_voice("anna", b"", "", "en-GB")
        assert (voice.id, voice.engine) == ("main:anna", "main")
        assert await tones.loudness("Good evening.", "en", "main:anna") == [0.5]
        with pytest.raises(Unsupported):
            await tones.adapter.add_voice("asha", b"", "", "hi")
        with pytest.raises(Unsupported):
            await tones.adapter.delete_voice("small:en-a")
        await tones.adapter.delete_voice("main:anna")
        for deleted in ("main:anna", "anna", "unknown:anna"):
            with pytest.raises(NotFound):
                await tones.adapter.delete_voice(deleted)
    assert tones.main.cloned == []


async def test_fallback_speaks_while_an_engine_is_parked(tones: RoutedTones) -> None:
    async with tones.adapter.lifespan():
        assert isinstance(tones.adapter, ParkableEngine)
        assert await tones.adapter.memory() == {MemoryKind.WEIGHTS: 1000, MemoryKind.CONTEXT: 1}
        await tones.adapter.park()
        assert tones.adapter.parked
        assert await tones.adapter.memory() == {}
        assert await tones.loudness("Good evening.", "en") == [0.12]
        await tones.adapter.wake()
        assert not tones.adapter.parked
        assert await tones.loudness("Good evening.", "en", "main:en-a") == [0.12]


async def test_engines_without_memory_cannot_be_parked(tones: RoutedTones) -> None:
    tones.main.load_error = InvalidRequest("tts.model_missing", "no model")
    async with tones.adapter.lifespan():
        with pytest.raises(Unsupported):
            await tones.adapter.park()
        assert not tones.adapter.parked
