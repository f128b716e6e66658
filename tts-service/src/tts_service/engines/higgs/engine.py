"""The engine `higgs`. Imports torch only when the model is loaded."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import MemoryKind
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest, NotReady
from service_kit.tasks import stop_task

from tts_service.engine import Emit, PhraseRequest, Samples, Speech, Style, SynthesisConfig, Voice, VoiceConsent
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.decode_loop import DecodeLoop
from tts_service.engines.higgs.default_voice import (
    MIN_CONTEXT_TOKENS,
    DefaultVoice,
    identify_voice,
    is_long_enough,
    max_reference_frames,
    reference_transcript,
)
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.phrase_limits import max_phrase_frames
from tts_service.engines.higgs.prompt import PhrasePrompt, prepare_text, tag_speakers
from tts_service.engines.higgs.style import build_style_prompt
from tts_service.engines.higgs.voices import HiggsVoices, multi_speaker_voices, speaker_ids
from tts_service.engines.higgs.windowing import FrameWindower, Window
from tts_service.engines.phrase_limits import EstimatedWordTimes, SilenceGuard, is_silent
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import CloningStreamAdapter, PhraseReplyStream, ReplyLimits
from tts_service.voices.catalogue import primary_language
from tts_service.voices.reference_audio import check_name, check_transcript, decode_reference

if TYPE_CHECKING:
    from tts_service.engines.higgs.model.loaded_model import LoadedHiggs

log = logging.getLogger(__name__)

RATE_HZ = 24_000
# The languages that its authors list; the default first.
LANGUAGES = ("en", "de", "es", "zh", "ko")
_BUILT_IN_VOICE = Voice("higgs", "Higgs, the model's own voice", LANGUAGES)
# Tasks queued while a step runs: at most one prefill and one decoding per slot, and one control task.
_WAITING_PER_SLOT = 4
_ATTEMPTS = 2
# The references of the built-in voice: attempts per language, and the time for all of them. A GPU that keeps up with
# four slots needs about 20 s.
_REFERENCE_ATTEMPTS = 3
_REFERENCES_TIMEOUT_S = 90.0


class HiggsEngine:
    """A `PhraseEngine`, `CloningEngine` and `ParkableEngine`."""

    def __init__(self, config: HiggsConfig) -> None:
        self._config = config
        self._voices = HiggsVoices(config.voices)
        self._default_voice = DefaultVoice(config.voices)
        # What the start is at, for readiness; called with "" when it is over.
        self.on_stage: Callable[[str], None] = lambda stage: None
        self._worker = EngineWorker("higgs", _WAITING_PER_SLOT * config.slots)
        # Encoding a recording takes seconds; on a thread of its own it does not delay the steps.
        self._voice_worker = EngineWorker("higgs-voices", config.slots)
        # Serialises control tasks (memory, eviction, release), which have one place in the worker's queue.
        self._control_lock = asyncio.Lock()
        self._loaded: LoadedHiggs | None = None
        self._loop: DecodeLoop | None = None
        # Set during the lifespan; owns `_decode_task`.
        self._tasks: asyncio.TaskGroup
        self._decode_task: asyncio.Task[None] | None = None
        self._parked = config.lazy
        self._open_replies = 0
        self._info = EngineInfo(
            name="higgs",
            model=config.model.name,
            version="2",
            languages=LANGUAGES,
            sample_rate_hz=RATE_HZ,
            notes={
                "licence": "Boson Higgs Audio 2 community licence; above 100,000 users a year a separate licence",
                "word marks": "estimated",
                "style": "described to the model, which may ignore it",
            },
            style_fields=("pace", "warmth", "humour", "energy"),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        """Number of phrases that could start now."""
        return self._ready[1].free_slots

    def voices(self) -> Sequence[Voice]:
        cloned = self._voices.voices()
        return (_BUILT_IN_VOICE, *cloned, *multi_speaker_voices(self._config.multi_speaker_voices, cloned))

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        try:
            await self._voice_worker.run(self._voices.load)
            self._warn_missing_speakers()
            # Only here, so that waking takes no time for it.
            await self._worker.run(self._config.verify_files)
            if not self._parked:
                await self._load()
            async with asyncio.TaskGroup() as self._tasks:
                if not self._parked:
                    await self._start_decoding()
                yield
                await self._unload()
        finally:
            self._loaded = self._loop = None
            for worker in (self._worker, self._voice_worker):
                # A running task may take seconds; do not block the event loop of the other engines.
                await asyncio.to_thread(worker.close)

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        self.check_awake()
        async with aclosing(self._generate_with_retry(phrase, config)) as speech:
            yield speech

    def cloning_languages(self) -> Sequence[str]:
        """The model's languages. Raises `Unsupported` without a folder for voices."""
        self._voices.require_folder()
        return LANGUAGES

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Clone a voice from a recording and its transcript. Raises `NotReady` while parked."""
        self.check_awake()
        code = primary_language(language)
        if code not in LANGUAGES:
            raise InvalidRequest("tts.unknown_language", f"no voice speaks {language!r}")
        check_name(name)
        self._voices.require_folder()

        def encode_and_save() -> Voice:
            from tts_service.engines.higgs.model.loaded_model import encode_reference

            check_transcript(reference_transcript)
            frames = encode_reference(self._config.codec, decode_reference(reference_wav, RATE_HZ))
            return self._voices.add_voice(name.strip(), code, reference_transcript.strip(), frames, consent)

        return await self._voice_worker.run(encode_and_save)

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice, and drop its cached prefixes."""
        await self._voice_worker.run(partial(self._voices.delete_voice, voice_id))
        await self._evict_voice(voice_id)

    async def _evict_voice(self, voice_id: str) -> None:
        """Drop the cached prefixes of a voice."""
        async with self._control_lock:
            if self._loaded is not None:
                await self._worker.run(partial(self._loaded.slots.evict_voice, voice_id))

    @property
    def parked(self) -> bool:
        """Whether the model is unloaded."""
        return self._parked

    def check_awake(self) -> None:
        """Raises `NotReady` while parked."""
        if self._parked:
            raise NotReady("tts.parked", "higgs is parked; wake it first")

    @contextmanager
    def block_parking(self) -> Generator[None]:
        """Prevent parking during a reply, including its pauses."""
        self._open_replies += 1
        try:
            yield
        finally:
            self._open_replies -= 1

    async def memory(self) -> Mapping[MemoryKind, int]:
        """GPU memory in bytes by kind, without the CUDA context, which also remains while parked."""
        async with self._control_lock:
            return {} if self._loaded is None else await self._worker.run(self._loaded.gpu_memory)

    async def park(self) -> None:
        """Unload model, codec, cache and graph. Raises `AtCapacity` while a reply is open or a slot is in use."""
        if self._parked:
            return
        if self._open_replies or self.free_slots < self._config.slots:
            raise AtCapacity("tts.speaking", "a reply is in progress; park the engine after it")
        self._parked = True
        await self._unload()

    async def wake(self) -> None:
        """Load the model again. A failure leaves the engine parked."""
        if not self._parked:
            return
        try:
            await self._load()
            await self._start_decoding()
        except BaseException as error:
            # The traceback's frames would keep partly loaded tensors alive.
            traceback.clear_frames(error.__traceback__)
            await self._unload()
            raise
        self._parked = False

    async def _load(self) -> None:
        from tts_service.engines.higgs.model.loaded_model import LoadedHiggs

        self._loaded = await self._worker.run(partial(LoadedHiggs, self._config))
        if self._loaded.codec.rate_hz != RATE_HZ:
            raise EngineFailed("tts.model_layout", f"the codec has {self._loaded.codec.rate_hz} Hz, not {RATE_HZ}")
        self._loop = DecodeLoop(self._loaded.slots, self._loaded.books, self._worker)

    async def _start_decoding(self) -> None:
        """Start the decode loop, and warm up."""
        _, loop = self._ready
        self._decode_task = self._tasks.create_task(loop.run(), name="higgs-steps")
        config = SynthesisConfig(_BUILT_IN_VOICE, LANGUAGES[0])
        async with aclosing(self._generate_with_retry(PhraseRequest(0, "Hello."), config)) as warming_up:
            async for _ in warming_up:
                pass
        await self._complete_default_voice()

    async def _complete_default_voice(self) -> None:
        """Let the model speak the references of the built-in voice that are missing or of another model.

        A language that fails, or is not done in time, has no reference until the next start: its phrases vary in voice.
        """
        config = self._config
        if config.context_tokens < MIN_CONTEXT_TOKENS:
            needed = f"TTS_HIGGS_CONTEXT_TOKENS={MIN_CONTEXT_TOKENS}"
            log.warning("default voice has no reference", extra={"needs": needed, "effect": "its voice varies"})
            return
        identify = partial(identify_voice, (config.model, config.codec), config.seed)
        identity = await self._voice_worker.run(identify)
        await self._voice_worker.run(partial(self._default_voice.load, identity))
        missing = self._default_voice.missing_languages
        if not missing:
            return
        self.on_stage(f"speaking the reference of the default voice in {', '.join(missing)}")
        permits = asyncio.Semaphore(config.slots)

        async def speak(language: str) -> None:
            async with permits:
                await self._speak_reference(language)

        try:
            async with asyncio.timeout(_REFERENCES_TIMEOUT_S), asyncio.TaskGroup() as tasks:
                for language in missing:
                    tasks.create_task(speak(language))
        except TimeoutError:
            log.warning("default voice not complete in time", extra={"timeout_s": _REFERENCES_TIMEOUT_S})
        left = self._default_voice.missing_languages
        log.info("default voice made", extra={"made": sorted(set(missing) - set(left)), "missing": left})
        self.on_stage("")

    async def _speak_reference(self, language: str) -> None:
        """Speak and save the reference in `language`: the first attempt that ends by itself, else one that was cut."""
        loaded, loop = self._ready
        max_frames, transcript = max_reference_frames(language), reference_transcript(language)
        neutral = build_style_prompt(Style(), self._config.temperature)
        cut: Codes | None = None
        for attempt in range(_REFERENCE_ATTEMPTS):
            prompt = PhrasePrompt(
                transcript, f"{_BUILT_IN_VOICE.id}/none", (None,), self._config.seed + attempt, neutral.scene, None
            )
            spoken: list[Codes] = []
            try:
                async with (
                    loop.decode_phrase(prompt, max_frames) as frames,
                    aclosing(self._generate(transcript, loaded, _recorded(frames, spoken))) as speech,
                ):
                    pieces = [piece.samples async for piece in speech if isinstance(piece, Samples)]
                    truncated = frames.truncated
            except AtCapacity:
                continue
            if not is_long_enough(language, len(spoken)) or is_silent(samples := np.concatenate(pieces)):
                continue
            # A phrase that is left because of silence has frames that are not decoded.
            if not truncated and samples.size == len(spoken) * loaded.codec.samples_per_frame:
                await self._voice_worker.run(partial(self._default_voice.save_reference, language, np.stack(spoken)))
                return
            cut = np.stack(spoken) if cut is None else cut
        if cut is not None:
            log.warning("reference of the default voice was cut", extra={"language": language})
            await self._voice_worker.run(partial(self._default_voice.save_reference, language, cut))

    async def _unload(self) -> None:
        from tts_service.engines.higgs.model.loaded_model import release_gpu_memory

        stepping, self._decode_task = self._decode_task, None
        self._loaded = self._loop = None
        await stop_task(stepping)
        # After all tasks have released the model.
        async with self._control_lock:
            await self._worker.run(release_gpu_memory)

    def _warn_missing_speakers(self) -> None:
        listed = {voice.id for voice in self.voices()}
        for voice_id in self._config.multi_speaker_voices:
            if voice_id not in listed:
                log.warning("multi-speaker voice lacks a speaker", extra={"voice": voice_id})

    @property
    def _ready(self) -> tuple[LoadedHiggs, DecodeLoop]:
        if self._loaded is None or self._loop is None:
            raise EngineFailed("tts.not_loaded", "the speech model is not loaded")
        return self._loaded, self._loop

    def _phrase_prompt(self, phrase: PhraseRequest, config: SynthesisConfig) -> PhrasePrompt:
        style = build_style_prompt(config.style, self._config.temperature)
        speakers = speaker_ids(config.voice.id)
        references = tuple(self._voices.find_reference(speaker) for speaker in speakers)
        text, voice_id = phrase.text, config.voice.id
        if None in references:
            # The built-in voice; also for the rest of a reply whose voice was deleted meanwhile.
            reference = self._default_voice.find_reference(config.language)
            voice_id = f"{_BUILT_IN_VOICE.id}/{config.language if reference else 'none'}"
            references = (reference,)
        elif len(speakers) > 1:
            text = tag_speakers(phrase.text, phrase.speaker_turns, len(speakers))
        text = prepare_text(text, config.language)
        return PhrasePrompt(text, voice_id, references, self._config.seed, style.scene, style.temperature)

    async def _generate_with_retry(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[Speech]:
        """Generate the phrase; retry once with another seed if the model returns no audio at all."""
        loaded, loop = self._ready
        prompt, max_frames = self._phrase_prompt(phrase, config), max_phrase_frames(phrase.text, config.style.pace)
        for attempt in range(_ATTEMPTS):
            if attempt:
                log.warning("phrase retried")
            has_output = False
            async with (
                loop.decode_phrase(replace(prompt, seed=prompt.seed + attempt), max_frames) as frames,
                aclosing(self._generate(phrase.text, loaded, frames)) as speech,
            ):
                if self._phrase_prompt(phrase, config).voice_id != prompt.voice_id:
                    # The voice was deleted while the phrase waited for its slot, so its prefix was cached again.
                    await self._evict_voice(prompt.voice_id)
                async for piece in speech:
                    has_output = True
                    yield piece
            if has_output:
                return

    async def _generate(self, text: str, loaded: LoadedHiggs, frames: AsyncIterator[Codes]) -> AsyncGenerator[Speech]:
        windower, silence, word_times = FrameWindower(), SilenceGuard(RATE_HZ), EstimatedWordTimes(text, RATE_HZ)

        async def decode(window: Window) -> tuple[list[Speech], bool]:
            samples = await self._worker.run(partial(loaded.codec.decode_window, window))
            words = word_times.pop_until(windower.decoded_frames * loaded.codec.samples_per_frame)
            return [*words, Samples(samples)], silence.push_samples(samples)

        async for frame in frames:
            if (window := windower.push_frame(frame)) is not None:
                pieces, is_silent = await decode(window)
                for piece in pieces:
                    yield piece
                if is_silent:
                    return
        if (window := windower.flush()) is not None:
            for piece in (await decode(window))[0]:
                yield piece


async def _recorded(frames: AsyncIterator[Codes], record: list[Codes]) -> AsyncGenerator[Codes]:
    """`frames`, each also added to `record`."""
    async for frame in frames:
        record.append(frame)
        yield frame


class HiggsStreamAdapter(CloningStreamAdapter):
    """A `TtsEngine`, `CloningEngine` and `ParkableEngine`. Opening a stream raises `NotReady` while parked."""

    def __init__(self, engine: HiggsEngine, limits: ReplyLimits) -> None:
        super().__init__(engine, limits)
        self._higgs = engine

    def open_stream(self, config: SynthesisConfig) -> PhraseReplyStream:
        self._higgs.check_awake()
        return HiggsReplyStream(self._higgs, config, self._limits)

    @property
    def parked(self) -> bool:
        return self._higgs.parked

    async def memory(self) -> Mapping[MemoryKind, int]:
        return await self._higgs.memory()

    async def park(self) -> None:
        await self._higgs.park()

    async def wake(self) -> None:
        await self._higgs.wake()


class HiggsReplyStream(PhraseReplyStream):
    """The stream of one reply; blocks parking while it runs."""

    def __init__(self, engine: HiggsEngine, config: SynthesisConfig, limits: ReplyLimits) -> None:
        super().__init__(engine, config, limits)
        self._higgs = engine

    async def run(self, emit: Emit) -> None:
        with self._higgs.block_parking():
            await super().run(emit)


def higgs_engine(settings: TtsSettings) -> HiggsStreamAdapter:
    """Create the engine `higgs`."""
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    return HiggsStreamAdapter(engine, ReplyLimits.from_settings(settings))
