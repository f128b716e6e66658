"""Several engines as one: each language has its own, and others step in where that one is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace

from service_kit.audio import SPEECH
from service_kit.engines.info import EngineInfo
from service_kit.errors import AnchorError, AtCapacity, EngineFailed, NotReady
from service_kit.tasks import start_task, stop_task

from tts_service.engine import Speech, SpokenPhrase, SynthesisConfig, Voice, Word
from tts_service.metrics import STAND_INS
from tts_service.routing.routes import Plan, default_first
from tts_service.routing.supervised_engine import KeptEngine, State
from tts_service.synthesis.speech_output import at_rate
from tts_service.synthesis.stream import PhraseSpeech
from tts_service.voices.catalogue import bare

log = logging.getLogger(__name__)

Make = Callable[[str], PhraseSpeech]


class RoutedPhrases:
    """A `PhraseEngine` made of others. A phrase that one failed at before it was heard is spoken by the next."""

    def __init__(self, plan: Plan, make: Make, engine_silent_s: float) -> None:
        """`make` gives a fresh engine for a name; one that gives nothing for `engine_silent_s` has failed."""
        self._plan = plan
        self._silent_s = engine_silent_s
        self._news = asyncio.Event()
        self._kept = {name: KeptEngine(name, lambda name=name: make(name), self._tell) for name in plan.engines}
        # Whether every language had its engine once.
        self.started = False
        # Told of every change.
        self.on_change: Callable[[], None] = lambda: None

    @property
    def info(self) -> EngineInfo:
        spoken = (language for kept in self._kept.values() for language in sorted(kept.languages))
        return EngineInfo(
            name="+".join(self._kept),
            model="",
            version="",
            languages=tuple(dict.fromkeys((*self._plan.routes, *spoken))),
            sample_rate_hz=SPEECH.rate_hz,
            notes={"engines": "each language has its own; see engines"},
        )

    @property
    def speaks(self) -> bool:
        """Whether any engine does."""
        return any(kept.speech for kept in self._kept.values())

    @property
    def lacks(self) -> list[str]:
        """The languages that ought to be spoken here, and are not."""
        speaking = {language for kept in self._kept.values() if kept.speech for language in kept.languages}
        expected = {name for kept in self._kept.values() if kept.state is State.LOST for name in kept.languages}
        return sorted((expected | set(self._plan.routes)) - speaking)

    def describe(self) -> dict[str, object]:
        """Every engine's state, and who speaks each language, first choice first."""
        return {
            "engines": {
                name: {"state": kept.state.value, "reason": kept.reason, "languages": sorted(kept.languages)}
                for name, kept in self._kept.items()
            },
            "routes": {
                language: [kept.name for kept in self._speakers(language)] for language in sorted(self.info.languages)
            },
            "lacks": self.lacks,
        }

    def why(self) -> str:
        """What is amiss, in words; empty when every engine speaks."""
        missing = [f"nothing speaks {', '.join(self.lacks)}"] if self.lacks else []
        silent = [kept for kept in self._kept.values() if kept.speech is None]
        return "; ".join((*missing, *(f"{kept.name}: {kept.reason or kept.state.value}" for kept in silent)))

    def voices(self) -> Sequence[Voice]:
        return default_first(self._plan, {name: kept.voices for name, kept in self._kept.items()})

    def speeches(self) -> Mapping[str, PhraseSpeech]:
        """The engines that speak now, by name."""
        return {name: kept.speech for name, kept in self._kept.items() if kept.speech}

    async def unavailability(self) -> AsyncGenerator[str]:
        """Why nobody speaks, whenever that changes; empty while anybody does."""
        said = ""
        while True:
            self._news.clear()
            lack = "" if self.speaks else self.why()
            if lack == said:
                await self._news.wait()
            else:
                said = lack
                yield lack

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait until every engine came or failed, and every language has one. Raises when none ever will."""
        async with AsyncExitStack() as stack:
            for kept in self._kept.values():
                stack.push_async_callback(stop_task, start_task(kept.keep(), f"engine-{kept.name}"))
            while self.lacks or any(kept.state is State.LOADING for kept in self._kept.values()) or not self.speaks:
                if self._hopeless:
                    raise EngineFailed("tts.no_engine", self.why())
                await self._news.wait()
                self._news.clear()
            self.started = True
            yield
            self.started = False

    @asynccontextmanager
    async def speak(self, phrase: SpokenPhrase, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with aclosing(self._speech(phrase, config)) as speech:
            yield speech

    async def _speech(self, phrase: SpokenPhrase, config: SynthesisConfig) -> AsyncGenerator[Speech]:
        failure: Exception = NotReady("tts.no_engine", f"no engine speaks {config.language!r} now: {self.why()}")
        for kept in self._speakers(config.language, config.voice.engine):
            heard = False
            try:
                async with aclosing(self._spoken_by(kept, phrase, config)) as speech:
                    async for piece in speech:
                        heard = True
                        yield piece
                if heard:
                    return
                failure = EngineFailed("tts.no_audio", f"{kept.name} gave no sound for a phrase")
            except Exception as error:
                if heard:
                    kept.doubt()
                    raise
                failure = error
            if not isinstance(failure, AtCapacity):
                kept.doubt()
            STAND_INS.labels(kept.name).inc()
            code = failure.code if isinstance(failure, AnchorError) else repr(failure)
            log.warning("engine failed at a phrase", extra={"engine": kept.name, "code": code})
        raise failure

    async def _spoken_by(
        self, kept: KeptEngine, phrase: SpokenPhrase, config: SynthesisConfig
    ) -> AsyncGenerator[Speech]:
        """One engine's phrase at our rate; nothing of it comes before its first sample."""
        if kept.speech is None:
            raise NotReady("tts.no_engine", f"{kept.name} is lost")
        engine = kept.speech.phrases
        its_own = replace(config, voice=voice_of(kept, config))
        words: list[Word] = []
        sounds = False
        async with engine.speak(phrase, its_own) as pieces, aclosing(self._timely(pieces)) as timely:
            speech = at_rate(timely, engine.info.sample_rate_hz or SPEECH.rate_hz, SPEECH.rate_hz)
            async with aclosing(speech):
                async for piece in speech:
                    if isinstance(piece, Word) and not sounds:
                        words.append(piece)
                    elif isinstance(piece, Word) or piece.samples.size:
                        for word in words:
                            yield word
                        words, sounds = [], True
                        yield piece

    async def _timely(self, pieces: AsyncIterator[Speech]) -> AsyncGenerator[Speech]:
        while True:
            try:
                async with asyncio.timeout(self._silent_s):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise EngineFailed("tts.engine_silent", f"the engine gave nothing for {self._silent_s} s") from error
            if piece is None:
                return
            yield piece

    def _speakers(self, language: str, chosen: str = "") -> list[KeptEngine]:
        """Who can speak `language` now, in the order in which they are asked."""
        order = (self._kept[name] for name in self._plan.order(language, chosen))
        return sorted((kept for kept in order if kept.speech and language in kept.languages), key=lambda it: it.rests)

    @property
    def _hopeless(self) -> bool:
        """Whether nothing will ever speak, or nothing one of the routed languages."""
        left_out = {name for name, kept in self._kept.items() if kept.state is State.LEFT_OUT}
        return left_out.issuperset(self._kept) or any(
            left_out.issuperset(self._plan.order(language)) for language in self._plan.routes
        )

    def _tell(self) -> None:
        self._news.set()
        self.on_change()


def voice_of(kept: KeptEngine, config: SynthesisConfig) -> Voice:
    """The engine's own voice for what was asked for: the one meant, or its default for the language."""
    speaking = [voice for voice in kept.voices if config.language in voice.languages]
    meant = [voice for voice in speaking if kept.name == config.voice.engine and voice.id == bare(config.voice.id)]
    return (meant or speaking)[0]
