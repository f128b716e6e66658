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

from tts_service.engine import PhraseRequest, Speech, SynthesisConfig, Voice, Word
from tts_service.metrics import FALLBACK_PHRASES
from tts_service.routing.routes import RoutingPlan, merge_voices
from tts_service.routing.supervised_engine import EngineState, SupervisedEngine
from tts_service.synthesis.speech_output import resample_speech
from tts_service.synthesis.stream import StreamAdapter
from tts_service.voices.catalogue import local_voice_id

log = logging.getLogger(__name__)

CreateEngine = Callable[[str], StreamAdapter]


class RoutedPhraseEngine:
    """A `PhraseEngine` made of others. A phrase that one failed at before it was heard is spoken by the next."""

    def __init__(self, plan: RoutingPlan, create: CreateEngine, engine_silent_s: float) -> None:
        """`make` gives a fresh engine for a name; one that gives nothing for `engine_silent_s` has failed."""
        self._plan = plan
        self._engine_silent_s = engine_silent_s
        self._changed = asyncio.Event()
        self._engines = {
            name: SupervisedEngine(name, lambda name=name: create(name), self._notify_change) for name in plan.engines
        }
        # Whether every language had its engine once.
        self.started = False
        # Told of every change.
        self.on_change: Callable[[], None] = lambda: None

    @property
    def info(self) -> EngineInfo:
        spoken = (language for kept in self._engines.values() for language in sorted(kept.languages))
        return EngineInfo(
            name="+".join(self._engines),
            model="",
            version="",
            languages=tuple(dict.fromkeys((*self._plan.routes, *spoken))),
            sample_rate_hz=SPEECH.rate_hz,
            notes={"engines": "each language has its own; see engines"},
        )

    @property
    def is_available(self) -> bool:
        """Whether any engine does."""
        return any(kept.adapter for kept in self._engines.values())

    @property
    def missing_languages(self) -> list[str]:
        """The languages that ought to be spoken here, and are not."""
        speaking = {language for kept in self._engines.values() if kept.adapter for language in kept.languages}
        expected = {
            name for kept in self._engines.values() if kept.state is EngineState.LOST for name in kept.languages
        }
        return sorted((expected | set(self._plan.routes)) - speaking)

    def describe(self) -> dict[str, object]:
        """Every engine's state, and who speaks each language, first choice first."""
        return {
            "engines": {
                name: {"state": kept.state.value, "reason": kept.reason, "languages": sorted(kept.languages)}
                for name, kept in self._engines.items()
            },
            "routes": {
                language: [kept.name for kept in self._candidates(language)] for language in sorted(self.info.languages)
            },
            "lacks": self.missing_languages,
        }

    def unavailability_reason(self) -> str:
        """What is amiss, in words; empty when every engine speaks."""
        missing = [f"nothing speaks {', '.join(self.missing_languages)}"] if self.missing_languages else []
        silent = [kept for kept in self._engines.values() if kept.adapter is None]
        return "; ".join((*missing, *(f"{kept.name}: {kept.reason or kept.state.value}" for kept in silent)))

    def voices(self) -> Sequence[Voice]:
        return merge_voices(self._plan, {name: kept.voices for name, kept in self._engines.items()})

    def available_adapters(self) -> Mapping[str, StreamAdapter]:
        """The engines that speak now, by name."""
        return {name: kept.adapter for name, kept in self._engines.items() if kept.adapter}

    async def unavailability(self) -> AsyncGenerator[str]:
        """Why nobody speaks, whenever that changes; empty while anybody does."""
        said = ""
        while True:
            self._changed.clear()
            lack = "" if self.is_available else self.unavailability_reason()
            if lack == said:
                await self._changed.wait()
            else:
                said = lack
                yield lack

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait until every engine came or failed, and every language has one. Raises when none ever will."""
        async with AsyncExitStack() as stack:
            for kept in self._engines.values():
                stack.push_async_callback(stop_task, start_task(kept.supervise(), f"engine-{kept.name}"))
            while (
                self.missing_languages
                or any(kept.state is EngineState.LOADING for kept in self._engines.values())
                or not self.is_available
            ):
                if self._cannot_start:
                    raise EngineFailed("tts.no_engine", self.unavailability_reason())
                await self._changed.wait()
                self._changed.clear()
            self.started = True
            yield
            self.started = False

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with aclosing(self._generate(phrase, config)) as speech:
            yield speech

    async def _generate(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[Speech]:
        failure: Exception = NotReady(
            "tts.no_engine", f"no engine speaks {config.language!r} now: {self.unavailability_reason()}"
        )
        for kept in self._candidates(config.language, config.voice.engine):
            heard = False
            try:
                async with aclosing(self._generate_with(kept, phrase, config)) as speech:
                    async for piece in speech:
                        heard = True
                        yield piece
                if heard:
                    return
                failure = EngineFailed("tts.no_audio", f"{kept.name} gave no sound for a phrase")
            except Exception as error:
                if heard:
                    kept.report_failure()
                    raise
                failure = error
            if not isinstance(failure, AtCapacity):
                kept.report_failure()
            FALLBACK_PHRASES.labels(kept.name).inc()
            code = failure.code if isinstance(failure, AnchorError) else repr(failure)
            log.warning("engine failed at a phrase", extra={"engine": kept.name, "code": code})
        raise failure

    async def _generate_with(
        self, kept: SupervisedEngine, phrase: PhraseRequest, config: SynthesisConfig
    ) -> AsyncGenerator[Speech]:
        """One engine's phrase at our rate; nothing of it comes before its first sample."""
        if kept.adapter is None:
            raise NotReady("tts.no_engine", f"{kept.name} is lost")
        engine = kept.adapter.phrase_engine
        its_own = replace(config, voice=engine_voice(kept, config))
        words: list[Word] = []
        sounds = False
        async with engine.synthesize(phrase, its_own) as pieces, aclosing(self._with_timeout(pieces)) as timely:
            speech = resample_speech(timely, engine.info.sample_rate_hz or SPEECH.rate_hz, SPEECH.rate_hz)
            async with aclosing(speech):
                async for piece in speech:
                    if isinstance(piece, Word) and not sounds:
                        words.append(piece)
                    elif isinstance(piece, Word) or piece.samples.size:
                        for word in words:
                            yield word
                        words, sounds = [], True
                        yield piece

    async def _with_timeout(self, pieces: AsyncIterator[Speech]) -> AsyncGenerator[Speech]:
        while True:
            try:
                async with asyncio.timeout(self._engine_silent_s):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise EngineFailed(
                    "tts.engine_silent", f"the engine gave nothing for {self._engine_silent_s} s"
                ) from error
            if piece is None:
                return
            yield piece

    def _candidates(self, language: str, chosen: str = "") -> list[SupervisedEngine]:
        """Who can speak `language` now, in the order in which they are asked."""
        order = (self._engines[name] for name in self._plan.engine_order(language, chosen))
        return sorted(
            (kept for kept in order if kept.adapter and language in kept.languages), key=lambda it: it.in_cooldown
        )

    @property
    def _cannot_start(self) -> bool:
        """Whether nothing will ever speak, or nothing one of the routed languages."""
        left_out = {name for name, kept in self._engines.items() if kept.state is EngineState.LEFT_OUT}
        return left_out.issuperset(self._engines) or any(
            left_out.issuperset(self._plan.engine_order(language)) for language in self._plan.routes
        )

    def _notify_change(self) -> None:
        self._changed.set()
        self.on_change()


def engine_voice(kept: SupervisedEngine, config: SynthesisConfig) -> Voice:
    """The engine's own voice for what was asked for: the one meant, or its default for the language."""
    speaking = [voice for voice in kept.voices if config.language in voice.languages]
    meant = [
        voice for voice in speaking if kept.name == config.voice.engine and voice.id == local_voice_id(config.voice.id)
    ]
    return (meant or speaking)[0]
