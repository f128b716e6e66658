"""Routing between engines: choice, fallback, loss and recovery."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest, NotReady, PeerFailed, Unsupported
from tone_engines import RoutedTones
from tts_service.metrics import FALLBACK_PHRASES
from tts_service.routing.supervised_engine import EngineState


@pytest.fixture
def tones() -> RoutedTones:
    return RoutedTones()


async def test_each_language_is_spoken_by_its_engine(tones: RoutedTones) -> None:
    async with tones.adapter.lifespan():
        assert await tones.loudness("Good evening.", "en") == [0.5]
        assert await tones.loudness("नमस्ते।", "hi") == [0.25]
    assert tones.main.spoken == [("Good evening.", "en-a", "en")]


async def test_voice_is_chosen_by_qualified_or_local_id(tones: RoutedTones) -> None:
    async with tones.adapter.lifespan():
        assert await tones.loudness("Good evening.", "en", "small:en-b") == [0.12]
        assert tones.small.spoken == [("Good evening.", "en-b", "en")]
        assert await tones.loudness("Good evening.", "en", "en-b") == [0.5]
        with pytest.raises(InvalidRequest, match="unknown"):
            await tones.speak("Good evening.", "en", "main:unknown")


async def test_each_voice_tells_what_style_its_engine_follows(tones: RoutedTones) -> None:
    tones.main.style_fields, tones.small.style_fields = ("pace",), ("pace", "energy")
    async with tones.adapter.lifespan():
        followed = {voice.id: voice.style_fields for voice in tones.adapter.voices()}
    assert followed["main:en-a"] == ("pace",)
    assert followed["small:en-a"] == ("pace", "energy")
    assert followed["hindi:hi-a"] == ()


async def test_phrase_that_fails_before_audio_goes_to_the_next_engine(tones: RoutedTones) -> None:
    tones.main.phrase_error = EngineFailed("tts.out_of_memory", "no memory")
    before = FALLBACK_PHRASES.labels("main")._value.get()
    async with tones.adapter.lifespan():
        assert await tones.loudness("Good evening.", "en", "main:en-b") == [0.12]
    assert tones.small.spoken == [("Good evening.", "en-a", "en")]
    assert FALLBACK_PHRASES.labels("main")._value.get() == before + 1


async def test_phrase_an_engine_cannot_say_costs_it_nothing(tones: RoutedTones) -> None:
    tones.main.phrase_error = Unsupported("tts.unspeakable", "no sound for it")
    async with tones.adapter.lifespan():
        assert await tones.loudness("中文", "en") == [0.12]
        tones.main.phrase_error = None
        assert await tones.loudness("Good evening.", "en") == [0.5]


@pytest.mark.parametrize("fault", ["hangs", "empty", "bug"])
async def test_hanging_empty_and_crashing_engines_fall_back(fault: str) -> None:
    tones = RoutedTones(silent_s=0.1)
    if fault == "bug":
        tones.main.phrase_error = RuntimeError("CUDA error")
    else:
        setattr(tones.main, fault, True)
    async with tones.adapter.lifespan():
        assert await tones.loudness("Good evening.", "en") == [0.12]


async def test_phrase_that_fails_after_audio_is_not_repeated(tones: RoutedTones) -> None:
    tones.main.phrase_error, tones.main.fails_after = EngineFailed("tts.broke", "broke"), 2
    async with tones.adapter.lifespan():
        with pytest.raises(EngineFailed, match="broke"):
            await tones.speak("Good evening.", "en")
        assert tones.small.spoken == []


async def test_failed_engine_is_avoided_during_its_cooldown(tones: RoutedTones) -> None:
    async with tones.adapter.lifespan():
        tones.main.phrase_error = EngineFailed("tts.broke", "broke")
        await tones.speak("Good evening.", "en")
        tones.main.phrase_error = None
        assert await tones.loudness("Good evening.", "en") == [0.12]


async def test_engine_at_capacity_has_no_cooldown(tones: RoutedTones) -> None:
    async with tones.adapter.lifespan():
        tones.main.phrase_error = AtCapacity("tts.full", "all slots speak")
        assert await tones.loudness("Good evening.", "en") == [0.12]
        tones.main.phrase_error = None
        assert await tones.loudness("Good evening.", "en") != [0.12]


async def test_last_failure_is_raised_when_all_engines_fail(tones: RoutedTones) -> None:
    tones.main.phrase_error = EngineFailed("tts.first", "the first")
    tones.small.phrase_error = EngineFailed("tts.second", "the second")
    async with tones.adapter.lifespan():
        with pytest.raises(EngineFailed) as failed:
            await tones.speak("Good evening.", "en")
    assert failed.value.code == "tts.second"


async def test_engine_that_cannot_load_is_left_out_and_reported(tones: RoutedTones) -> None:
    tones.main.load_error = InvalidRequest("tts.model_missing", "no model")
    async with tones.adapter.lifespan():
        assert await tones.loudness("Good evening.", "en") == [0.12]
        about = tones.routed.describe()
        assert tones.routed.unavailability_reason() == "main: tts.model_missing: no model"
    assert about["engines"]["main"]["state"] == EngineState.LEFT_OUT  # type: ignore[index]
    assert about["routes"] == {"en": ["small"], "fr": ["small"], "hi": ["hindi", "small"]}
    assert tones.main.loads == 1


async def test_engine_with_a_missing_package_is_left_out(tones: RoutedTones) -> None:
    tones.main.load_error = ModuleNotFoundError("No module named 'torch'")
    async with tones.adapter.lifespan():
        assert await tones.loudness("Bonsoir.", "fr") == [0.12]


async def test_lost_server_is_reported_and_used_again_when_back(tones: RoutedTones) -> None:
    changes: list[str] = []
    async with tones.adapter.lifespan():
        tones.routed.on_change = lambda: changes.append(tones.routed.unavailability_reason())
        tones.hindi.load_error = tones.hindi.phrase_error = PeerFailed("tts.server_unreachable", "gone")
        assert await tones.loudness("नमस्ते।", "hi") == [0.12]
        async with asyncio.timeout(20):
            while not changes:
                await asyncio.sleep(0.01)
        assert changes == ["hindi: tts.server_unreachable: gone"]
        assert next(voice.id for voice in tones.adapter.voices() if "hi" in voice.languages) == "hindi:hi-a"
        tones.hindi.load_error = tones.hindi.phrase_error = None
        async with asyncio.timeout(20):
            while tones.routed.unavailability_reason():
                await asyncio.sleep(0.01)
        assert await tones.loudness("नमस्ते।", "hi") == [0.25]


async def test_start_waits_until_every_language_has_an_engine() -> None:
    tones = RoutedTones()
    tones.small.languages = ("en",)
    tones.hindi.load_error = PeerFailed("tts.server_unreachable", "gone")
    entered = asyncio.Event()

    async def run() -> None:
        async with tones.adapter.lifespan():
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    async with asyncio.timeout(20):
        while tones.routed.unavailability_reason() != "no engine speaks hi; hindi: tts.server_unreachable: gone":
            await asyncio.sleep(0.01)
    assert not entered.is_set()
    tones.hindi.load_error = None
    async with asyncio.timeout(20):
        await entered.wait()
    assert tones.routed.missing_languages == []
    running.cancel()
    await asyncio.wait((running,))


async def test_language_without_an_engine_is_refused() -> None:
    tones = RoutedTones()
    tones.small.languages = ("en",)
    async with tones.adapter.lifespan():
        tones.hindi.load_error = tones.hindi.phrase_error = PeerFailed("tts.server_unreachable", "gone")
        with pytest.raises(PeerFailed):
            await tones.speak("नमस्ते।", "hi")
        async with asyncio.timeout(20):
            while not tones.routed.missing_languages:
                await asyncio.sleep(0.01)
        with pytest.raises(NotReady, match="no engine speaks hi"):
            await tones.speak("नमस्ते।", "hi")
        with pytest.raises(NotReady, match="lost"):
            await tones.adapter.delete_voice("hindi:hi-a")
        assert await tones.loudness("Good evening.", "en") == [0.5]


@pytest.mark.parametrize("failing", [("main", "hindi", "small"), ("hindi", "main", "small")])
async def test_start_fails_when_a_language_can_have_no_engine(failing: tuple[str, ...]) -> None:
    tones = RoutedTones()
    for name in failing:
        getattr(tones, name).load_error = InvalidRequest("tts.model_missing", f"no model of {name}")
    with pytest.raises(EngineFailed, match="no model of hindi") as failed:
        async with tones.adapter.lifespan():
            pass
    assert failed.value.code == "tts.no_engine"


async def test_cancelled_reply_starts_no_fallback(tones: RoutedTones) -> None:
    tones.main.hangs = True
    async with tones.adapter.lifespan():
        speaking = asyncio.create_task(tones.speak("Good evening.", "en"))
        await asyncio.sleep(0.05)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        assert tones.small.spoken == []
