"""Several engines as one service: who speaks, who stands in, what is said about it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import MemoryKind, ParkableEngine
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest, NotFound, NotReady, PeerFailed, Unsupported
from service_kit.tasks import stop_task
from tts_service.engine import (
    CloningEngine,
    PhraseRequest,
    Samples,
    Speech,
    SpeechAudio,
    SpeechEvent,
    Style,
    SynthesisConfig,
    Voice,
    Word,
)
from tts_service.metrics import FALLBACK_PHRASES
from tts_service.routing.routed_adapter import RoutedStreamAdapter
from tts_service.routing.routed_engine import RoutedPhraseEngine
from tts_service.routing.routes import RoutingPlan
from tts_service.routing.supervised_engine import EngineState, SupervisedEngine
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter
from tts_service.voices.catalogue import resolve_config

LIMITS = ReplyLimits.from_settings(TtsSettings())
RATE_HZ = 24_000


@dataclass
class Hum:
    """A `PhraseEngine` that hums, or fails as it is told; `loudness` tells one from another."""

    name: str
    languages: tuple[str, ...]
    loudness: float
    rate_hz: int = RATE_HZ
    unable: Exception | None = None
    fails: Exception | None = None
    fails_after: int = 0
    hangs: bool = False
    empty: bool = False
    spoken: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    loads: int = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(self.name, "hum", "1", self.languages, self.rate_hz)

    def voices(self) -> Sequence[Voice]:
        return [Voice(f"{language}-{kind}", kind, (language,)) for language in self.languages for kind in ("a", "b")]

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        self.loads += 1
        if self.unable:
            raise self.unable
        yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        self.spoken.append((phrase.text, config.voice.id, config.language))
        yield self._speech()

    async def _speech(self) -> AsyncGenerator[Speech]:
        yield Word(0, 1, 0)
        if self.hangs:
            await asyncio.Event().wait()
        for piece in range(0 if self.empty else 4):
            if self.fails and piece >= self.fails_after:
                raise self.fails
            yield Samples(np.full(self.rate_hz // 8, self.loudness, np.float32))


@dataclass
class ServedHum(Hum):
    """One whose server can go away."""

    async def check_server(self) -> None:
        if self.unable:
            raise self.unable


@dataclass
class CloningHum(Hum):
    """One that learns voices."""

    learned: list[str] = field(default_factory=list[str])

    def voices(self) -> Sequence[Voice]:
        return [*super().voices(), *(Voice(name, name, self.languages, cloned=True) for name in self.learned)]

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        self.learned.append(name)
        return Voice(name, name, (language,), cloned=True)

    async def delete_voice(self, voice_id: str) -> None:
        if voice_id not in self.learned:
            raise NotFound("tts.unknown_voice", f"no voice {voice_id!r} was added")
        self.learned.remove(voice_id)


class CloningSpeech(StreamAdapter):
    """What is made of `CloningHum`: it learns voices, and can be parked."""

    def __init__(self, hum: CloningHum) -> None:
        super().__init__(hum, LIMITS)
        self.hum = hum
        self.add_voice = hum.add_voice
        self.delete_voice = hum.delete_voice

    async def memory(self) -> Mapping[MemoryKind, int]:
        return {} if self.parked else {MemoryKind.WEIGHTS: 1000, MemoryKind.CONTEXT: 1}

    @property
    def parked(self) -> bool:
        return self.hum.fails is not None

    async def park(self) -> None:
        self.hum.fails = NotReady("tts.parked", "parked")

    async def wake(self) -> None:
        self.hum.fails = None


class Newsroom:
    """Two engines and one to fall back on; `speech` is them as one."""

    def __init__(self, silent_s: float = 5.0) -> None:
        self.main = CloningHum("main", ("en", "fr"), 0.5)
        self.hindi = ServedHum("hindi", ("hi",), 0.25)
        self.small = Hum("small", ("en", "fr", "hi"), 0.125, rate_hz=22_050)
        self.plan = RoutingPlan("main", {"hi": "hindi"}, ("small",))
        self.phrases = RoutedPhraseEngine(self.plan, self._make, silent_s)
        self.speech = RoutedStreamAdapter(self.phrases, LIMITS, 3)

    def _make(self, name: str) -> StreamAdapter:
        hum = {"main": self.main, "hindi": self.hindi, "small": self.small}[name]
        return CloningSpeech(hum) if isinstance(hum, CloningHum) else StreamAdapter(hum, LIMITS)

    async def say(self, text: str, language: str, voice: str = "") -> list[SpeechEvent]:
        """Speak a reply; return what came."""
        reply = self.speech.open_stream(resolve_config(self.speech.voices(), voice, language, Style()))
        events: list[SpeechEvent] = []

        async def emit(event: SpeechEvent) -> None:
            events.append(event)

        await reply.send_text(text)
        await reply.end_text()
        await reply.run(emit)
        return events

    async def loudness(self, text: str, language: str, voice: str = "") -> list[float]:
        """Who was heard: the loudness in the middle of each phrase of half a second."""
        events = await self.say(text, language, voice)
        pcm = b"".join(event.pcm for event in events if isinstance(event, SpeechAudio))
        samples = np.frombuffer(pcm, "<i2") / 32768
        return [round(float(samples[at]), 2) for at in range(6000, samples.size, 12_000)]


@pytest.fixture
def newsroom() -> Newsroom:
    return Newsroom()


async def test_each_language_is_spoken_by_its_engine(newsroom: Newsroom) -> None:
    async with newsroom.speech.lifespan():
        assert await newsroom.loudness("Good evening.", "en") == [0.5]
        assert await newsroom.loudness("नमस्ते।", "hi") == [0.25]
    assert newsroom.main.spoken == [("Good evening.", "en-a", "en")]


async def test_a_voice_is_chosen_by_its_full_name_or_by_its_own(newsroom: Newsroom) -> None:
    async with newsroom.speech.lifespan():
        assert await newsroom.loudness("Good evening.", "en", "small:en-b") == [0.12]
        assert newsroom.small.spoken == [("Good evening.", "en-b", "en")]
        assert await newsroom.loudness("Good evening.", "en", "en-b") == [0.5]
        with pytest.raises(InvalidRequest, match="nobody"):
            await newsroom.say("Good evening.", "en", "main:nobody")


async def test_a_phrase_that_failed_unheard_is_spoken_by_the_next(newsroom: Newsroom) -> None:
    newsroom.main.fails = EngineFailed("tts.out_of_memory", "no memory")
    before = FALLBACK_PHRASES.labels("main")._value.get()
    async with newsroom.speech.lifespan():
        assert await newsroom.loudness("Good evening.", "en", "main:en-b") == [0.12]
    assert newsroom.small.spoken == [("Good evening.", "en-a", "en")]
    assert FALLBACK_PHRASES.labels("main")._value.get() == before + 1


@pytest.mark.parametrize("fault", ["hangs", "empty", "bug"])
async def test_silence_and_bugs_are_failures_too(fault: str) -> None:
    newsroom = Newsroom(silent_s=0.1)
    if fault == "bug":
        newsroom.main.fails = RuntimeError("CUDA error")
    else:
        setattr(newsroom.main, fault, True)
    async with newsroom.speech.lifespan():
        assert await newsroom.loudness("Good evening.", "en") == [0.12]


async def test_what_was_heard_in_part_is_not_said_twice(newsroom: Newsroom) -> None:
    newsroom.main.fails, newsroom.main.fails_after = EngineFailed("tts.broke", "broke"), 2
    async with newsroom.speech.lifespan():
        with pytest.raises(EngineFailed, match="broke"):
            await newsroom.say("Good evening.", "en")
        assert newsroom.small.spoken == []


async def test_after_a_failure_the_next_phrases_are_left_to_others_for_a_while(newsroom: Newsroom) -> None:
    async with newsroom.speech.lifespan():
        newsroom.main.fails = EngineFailed("tts.broke", "broke")
        await newsroom.say("Good evening.", "en")
        newsroom.main.fails = None
        assert await newsroom.loudness("Good evening.", "en") == [0.12]


async def test_an_engine_that_was_merely_full_is_asked_for_the_next_phrase(newsroom: Newsroom) -> None:
    async with newsroom.speech.lifespan():
        newsroom.main.fails = AtCapacity("tts.full", "all slots speak")
        assert await newsroom.loudness("Good evening.", "en") == [0.12]
        newsroom.main.fails = None
        assert await newsroom.loudness("Good evening.", "en") != [0.12]


async def test_when_all_fail_the_last_failure_is_told(newsroom: Newsroom) -> None:
    newsroom.main.fails = EngineFailed("tts.first", "the first")
    newsroom.small.fails = EngineFailed("tts.second", "the second")
    async with newsroom.speech.lifespan():
        with pytest.raises(EngineFailed) as failed:
            await newsroom.say("Good evening.", "en")
    assert failed.value.code == "tts.second"


async def test_an_engine_that_cannot_load_is_left_out_and_said(newsroom: Newsroom) -> None:
    newsroom.main.unable = InvalidRequest("tts.model_missing", "no model")
    async with newsroom.speech.lifespan():
        assert await newsroom.loudness("Good evening.", "en") == [0.12]
        about = newsroom.phrases.describe()
        assert newsroom.phrases.unavailability_reason() == "main: tts.model_missing: no model"
    assert about["engines"]["main"]["state"] == EngineState.LEFT_OUT  # type: ignore[index]
    assert about["routes"] == {"en": ["small"], "fr": ["small"], "hi": ["hindi", "small"]}
    assert newsroom.main.loads == 1


async def test_a_package_that_is_not_installed_leaves_its_engine_out(newsroom: Newsroom) -> None:
    newsroom.main.unable = ModuleNotFoundError("No module named 'torch'")
    async with newsroom.speech.lifespan():
        assert await newsroom.loudness("Bonsoir.", "fr") == [0.12]


async def test_a_server_that_goes_is_missed_and_taken_back(newsroom: Newsroom) -> None:
    changes: list[str] = []
    async with newsroom.speech.lifespan():
        newsroom.phrases.on_change = lambda: changes.append(newsroom.phrases.unavailability_reason())
        newsroom.hindi.unable = newsroom.hindi.fails = PeerFailed("tts.server_unreachable", "gone")
        assert await newsroom.loudness("नमस्ते।", "hi") == [0.12]
        async with asyncio.timeout(20):
            while not changes:
                await asyncio.sleep(0.01)
        assert changes == ["hindi: tts.server_unreachable: gone"]
        assert next(voice.id for voice in newsroom.speech.voices() if "hi" in voice.languages) == "hindi:hi-a"
        newsroom.hindi.unable = newsroom.hindi.fails = None
        async with asyncio.timeout(20):
            while newsroom.phrases.unavailability_reason():
                await asyncio.sleep(0.01)
        assert await newsroom.loudness("नमस्ते।", "hi") == [0.25]


class Weights:
    """What a model holds while it is loaded."""


async def test_nothing_of_a_lost_model_is_there_when_it_is_loaded_again() -> None:
    held: list[weakref.ref[Weights]] = []
    left: list[int] = []

    class BreakingHum(Hum):
        @asynccontextmanager
        async def lifespan(self) -> AsyncGenerator[None]:
            left.append(sum(weights() is not None for weights in held))
            weights = Weights()
            held.append(weakref.ref(weights))
            if len(held) == 1:
                raise EngineFailed("tts.engine_failed", "the speech model failed")
            yield

    loaded = asyncio.Event()
    kept = SupervisedEngine(
        "main", lambda: StreamAdapter(BreakingHum("main", ("en",), 0.5), LIMITS), lambda: kept.adapter and loaded.set()
    )
    keeping = asyncio.create_task(kept.supervise())
    async with asyncio.timeout(20):
        await loaded.wait()
    await stop_task(keeping)
    assert left == [0, 0]


async def test_it_is_ready_when_every_language_has_an_engine() -> None:
    newsroom = Newsroom()
    newsroom.small.languages = ("en",)
    newsroom.hindi.unable = PeerFailed("tts.server_unreachable", "gone")
    entered = asyncio.Event()

    async def run() -> None:
        async with newsroom.speech.lifespan():
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    async with asyncio.timeout(20):
        while newsroom.phrases.unavailability_reason() != "no engine speaks hi; hindi: tts.server_unreachable: gone":
            await asyncio.sleep(0.01)
    assert not entered.is_set()
    newsroom.hindi.unable = None
    async with asyncio.timeout(20):
        await entered.wait()
    assert newsroom.phrases.missing_languages == []
    running.cancel()
    await asyncio.wait((running,))


async def test_a_language_that_is_lost_is_refused_until_it_is_back() -> None:
    newsroom = Newsroom()
    newsroom.small.languages = ("en",)
    async with newsroom.speech.lifespan():
        newsroom.hindi.unable = newsroom.hindi.fails = PeerFailed("tts.server_unreachable", "gone")
        with pytest.raises(PeerFailed):
            await newsroom.say("नमस्ते।", "hi")
        async with asyncio.timeout(20):
            while not newsroom.phrases.missing_languages:
                await asyncio.sleep(0.01)
        with pytest.raises(NotReady, match="no engine speaks hi"):
            await newsroom.say("नमस्ते।", "hi")
        with pytest.raises(NotReady, match="lost"):
            await newsroom.speech.delete_voice("hindi:hi-a")
        assert await newsroom.loudness("Good evening.", "en") == [0.5]


@pytest.mark.parametrize("who", [("main", "hindi", "small"), ("hindi", "main", "small")])
async def test_a_start_that_can_come_to_nothing_is_given_up(who: tuple[str, ...]) -> None:
    newsroom = Newsroom()
    for name in who:
        getattr(newsroom, name).unable = InvalidRequest("tts.model_missing", f"no model of {name}")
    with pytest.raises(EngineFailed, match="no model of hindi") as failed:
        async with newsroom.speech.lifespan():
            pass
    assert failed.value.code == "tts.no_engine"


async def test_a_voice_is_learned_by_the_engine_that_can(newsroom: Newsroom) -> None:
    async with newsroom.speech.lifespan():
        assert isinstance(newsroom.speech, CloningEngine)
        voice = await newsroom.speech.add_voice("anna", b"", "", "en-GB")
        assert (voice.id, voice.engine) == ("main:anna", "main")
        assert await newsroom.loudness("Good evening.", "en", "main:anna") == [0.5]
        with pytest.raises(Unsupported):
            await newsroom.speech.add_voice("asha", b"", "", "hi")
        with pytest.raises(Unsupported):
            await newsroom.speech.delete_voice("small:en-a")
        await newsroom.speech.delete_voice("main:anna")
        for gone in ("main:anna", "anna", "nobody:anna"):
            with pytest.raises(NotFound):
                await newsroom.speech.delete_voice(gone)
    assert newsroom.main.learned == []


async def test_a_reply_that_is_left_stops_its_engine(newsroom: Newsroom) -> None:
    newsroom.main.hangs = True
    async with newsroom.speech.lifespan():
        speaking = asyncio.create_task(newsroom.say("Good evening.", "en"))
        await asyncio.sleep(0.05)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        assert newsroom.small.spoken == []


async def test_others_speak_for_an_engine_that_gave_its_memory_back(newsroom: Newsroom) -> None:
    async with newsroom.speech.lifespan():
        assert isinstance(newsroom.speech, ParkableEngine)
        assert await newsroom.speech.memory() == {MemoryKind.WEIGHTS: 1000, MemoryKind.CONTEXT: 1}
        await newsroom.speech.park()
        assert newsroom.speech.parked
        assert await newsroom.speech.memory() == {}
        assert await newsroom.loudness("Good evening.", "en") == [0.12]
        await newsroom.speech.wake()
        assert not newsroom.speech.parked
        assert await newsroom.loudness("Good evening.", "en", "main:en-a") == [0.12]


async def test_engines_that_hold_no_memory_cannot_be_parked(newsroom: Newsroom) -> None:
    newsroom.main.unable = InvalidRequest("tts.model_missing", "no model")
    async with newsroom.speech.lifespan():
        with pytest.raises(Unsupported):
            await newsroom.speech.park()
        assert not newsroom.speech.parked
