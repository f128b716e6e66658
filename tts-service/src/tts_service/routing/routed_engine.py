"""Several engines as one `PhraseEngine`: each language has an engine, and fallbacks when that one fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace

from service_kit.audio import SPEECH
from service_kit.engines.info import EngineInfo
from service_kit.errors import AnchorError, AtCapacity, EngineFailed, NotReady, Unsupported
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
    """A `PhraseEngine` over several. A phrase that failed before its first audio goes to the next engine."""

    def __init__(self, plan: RoutingPlan, create: CreateEngine, engine_silent_s: float) -> None:
        """`create` builds an engine by its name; an engine that yields nothing for `engine_silent_s` has failed."""
        self._plan = plan
        self._engine_silent_s = engine_silent_s
        self._changed = asyncio.Event()
        self._engines = {
            name: SupervisedEngine(name, lambda name=name: create(name), self._notify_change) for name in plan.engines
        }
        # Whether every language has had its engine.
        self.started = False
        # Called after every change of an engine's state.
        self.on_change: Callable[[], None] = lambda: None

    @property
    def info(self) -> EngineInfo:
        spoken = (language for engine in self._engines.values() for language in sorted(engine.languages))
        return EngineInfo(
            name="+".join(self._engines),
            model="",
            version="",
            languages=tuple(dict.fromkeys((*self._plan.routes, *spoken))),
            sample_rate_hz=SPEECH.rate_hz,
            notes={"engines": "each language has its own engine; see engines"},
        )

    @property
    def is_available(self) -> bool:
        """Whether any engine is available."""
        return any(engine.adapter for engine in self._engines.values())

    @property
    def missing_languages(self) -> list[str]:
        """The routed languages, and the languages of lost engines, that no available engine speaks."""
        speaking = {language for engine in self._engines.values() if engine.adapter for language in engine.languages}
        expected = {
            name for engine in self._engines.values() if engine.state is EngineState.LOST for name in engine.languages
        }
        return sorted((expected | set(self._plan.routes)) - speaking)

    def describe(self) -> dict[str, object]:
        """For `/info`: every engine's state, and the engines of each language, first choice first."""
        return {
            "engines": {
                name: {"state": engine.state.value, "reason": engine.reason, "languages": sorted(engine.languages)}
                for name, engine in self._engines.items()
            },
            "routes": {
                language: [engine.name for engine in self._candidates(language)]
                for language in sorted(self.info.languages)
            },
            "lacks": self.missing_languages,
        }

    def unavailability_reason(self) -> str:
        """The missing languages, and why each unavailable engine is; empty when all engines are available."""
        missing = [f"no engine speaks {', '.join(self.missing_languages)}"] if self.missing_languages else []
        down = [engine for engine in self._engines.values() if engine.adapter is None]
        return "; ".join((*missing, *(f"{engine.name}: {engine.reason or engine.state.value}" for engine in down)))

    def voices(self) -> Sequence[Voice]:
        return merge_voices(self._plan, {name: engine.voices for name, engine in self._engines.items()})

    def available_adapters(self) -> Mapping[str, StreamAdapter]:
        """The adapters of the engines that are available now, by engine name."""
        return {name: engine.adapter for name, engine in self._engines.items() if engine.adapter}

    async def unavailability(self) -> AsyncGenerator[str]:
        """Yield the reason whenever it changes: why no engine is available, or empty while one is."""
        reported = ""
        while True:
            self._changed.clear()
            reason = "" if self.is_available else self.unavailability_reason()
            if reason == reported:
                await self._changed.wait()
            else:
                reported = reason
                yield reason

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait until every engine has loaded or failed, and every routed language has an engine.

        Raises `EngineFailed` when that can never happen.
        """
        async with AsyncExitStack() as stack:
            for engine in self._engines.values():
                stack.push_async_callback(stop_task, start_task(engine.supervise(), f"engine-{engine.name}"))
            while (
                self.missing_languages
                or any(engine.state is EngineState.LOADING for engine in self._engines.values())
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
        for engine in self._candidates(config.language, config.voice.engine):
            has_output = False
            try:
                async with aclosing(self._generate_with(engine, phrase, config)) as speech:
                    async for piece in speech:
                        has_output = True
                        yield piece
                if has_output:
                    return
                failure = EngineFailed("tts.no_audio", f"{engine.name} returned no sound for a phrase")
            except Exception as error:
                if has_output:
                    engine.report_failure()
                    raise
                failure = error
            # A phrase that an engine cannot say says nothing about the next one.
            if not isinstance(failure, (AtCapacity, Unsupported)):
                engine.report_failure()
            FALLBACK_PHRASES.labels(engine.name).inc()
            code = failure.code if isinstance(failure, AnchorError) else repr(failure)
            log.warning("engine failed at a phrase", extra={"engine": engine.name, "code": code})
        raise failure

    async def _generate_with(
        self, engine: SupervisedEngine, phrase: PhraseRequest, config: SynthesisConfig
    ) -> AsyncGenerator[Speech]:
        """The phrase of one engine, resampled to 24 kHz; words that come before the first sample are held back."""
        if engine.adapter is None:
            raise NotReady("tts.no_engine", f"{engine.name} is lost")
        phrase_engine = engine.adapter.phrase_engine
        local_config = replace(config, voice=engine_voice(engine, config))
        words: list[Word] = []
        has_samples = False
        async with (
            phrase_engine.synthesize(phrase, local_config) as pieces,
            aclosing(self._with_timeout(pieces)) as timed,
        ):
            speech = resample_speech(timed, phrase_engine.info.sample_rate_hz or SPEECH.rate_hz, SPEECH.rate_hz)
            async with aclosing(speech):
                async for piece in speech:
                    if isinstance(piece, Word) and not has_samples:
                        words.append(piece)
                    elif isinstance(piece, Word) or piece.samples.size:
                        for word in words:
                            yield word
                        words, has_samples = [], True
                        yield piece

    async def _with_timeout(self, pieces: AsyncIterator[Speech]) -> AsyncGenerator[Speech]:
        while True:
            try:
                async with asyncio.timeout(self._engine_silent_s):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise EngineFailed(
                    "tts.engine_silent", f"the engine returned nothing for {self._engine_silent_s} s"
                ) from error
            if piece is None:
                return
            yield piece

    def _candidates(self, language: str, chosen: str = "") -> list[SupervisedEngine]:
        """The available engines for `language`, in the order of use; those in cool-down come last."""
        engines = (self._engines[name] for name in self._plan.engine_order(language, chosen))
        available = (engine for engine in engines if engine.adapter and language in engine.languages)
        return sorted(available, key=lambda engine: engine.in_cooldown)

    @property
    def _cannot_start(self) -> bool:
        """Whether all engines are left out, or all engines of one routed language."""
        left_out = {name for name, engine in self._engines.items() if engine.state is EngineState.LEFT_OUT}
        return left_out.issuperset(self._engines) or any(
            left_out.issuperset(self._plan.engine_order(language)) for language in self._plan.routes
        )

    def _notify_change(self) -> None:
        self._changed.set()
        self.on_change()


def engine_voice(engine: SupervisedEngine, config: SynthesisConfig) -> Voice:
    """The engine's voice for the request: the requested one, or its default for the language."""
    speaking = [voice for voice in engine.voices if config.language in voice.languages]
    local_id = local_voice_id(config.voice.id)
    requested = [voice for voice in speaking if engine.name == config.voice.engine and voice.id == local_id]
    return (requested or speaking)[0]
