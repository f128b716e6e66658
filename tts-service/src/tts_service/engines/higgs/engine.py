"""higgs-audio v2 behind the service's seam. Nothing here imports torch before the model is loaded."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import MemoryKind
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest, NotReady
from service_kit.tasks import stop_task

from tts_service.engine import PhraseRequest, Samples, Speech, SynthesisConfig, Voice
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.decode_loop import DecodeLoop
from tts_service.engines.higgs.model.delay import Codes
from tts_service.engines.higgs.phrase_limits import max_phrase_frames
from tts_service.engines.higgs.prompt import PhrasePrompt, tag_speakers
from tts_service.engines.higgs.stream import HiggsStreamAdapter
from tts_service.engines.higgs.style import build_style_prompt
from tts_service.engines.higgs.voices import HiggsVoices, multi_speaker_voices, speaker_ids
from tts_service.engines.higgs.windowing import FrameWindower, Window
from tts_service.engines.phrase_limits import EstimatedWordTimes, SilenceGuard
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits
from tts_service.voices.catalogue import primary_language
from tts_service.voices.reference_audio import check_name, check_transcript, decode_reference

if TYPE_CHECKING:
    from tts_service.engines.higgs.model.loaded_model import LoadedHiggs

log = logging.getLogger(__name__)

RATE_HZ = 24_000
# Those its authors name; the default first.
LANGUAGES = ("en", "de", "es", "zh", "ko")
_BUILT_IN_VOICE = Voice("higgs", "Higgs, in a voice of its own choice", LANGUAGES)
# Prompts and decodings that wait while a step runs: at most one of either for every slot, and one errand.
_WAITING_PER_SLOT = 4
_ATTEMPTS = 2


class HiggsEngine:
    """A `PhraseEngine` that learns voices and can be parked."""

    def __init__(self, config: HiggsConfig) -> None:
        self._config = config
        self._voices = HiggsVoices(config.voices)
        self._worker = EngineWorker("higgs", _WAITING_PER_SLOT * config.slots)
        # A recording is encoded for seconds, which no step should wait for.
        self._voice_worker = EngineWorker("higgs-voices", config.slots)
        # What is no speaking waits here for its one place at the worker, so that it never takes a step's.
        self._control_lock = asyncio.Lock()
        self._loaded: LoadedHiggs | None = None
        self._loop: DecodeLoop | None = None
        # There during the lifespan; owns `_stepping`.
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
                "licence": "Boson Higgs Audio 2 community licence; over 100,000 users a year need one of their own",
                "word marks": "estimated",
                "style": "described to the model, which may follow it",
            },
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        """How many more phrases could be spoken now."""
        return self._ready[1].free_slots

    def voices(self) -> Sequence[Voice]:
        added = self._voices.voices()
        return (_BUILT_IN_VOICE, *added, *multi_speaker_voices(self._config.multi_speaker_voices, added))

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        try:
            await self._voice_worker.run(self._voices.load)
            self._warn_missing_speakers()
            # Once: who is woken must not wait for it again.
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
                # What it is at may take seconds, and other engines speak meanwhile.
                await asyncio.to_thread(worker.close)

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        self.check_awake()
        async with aclosing(self._generate_with_retry(phrase, config)) as speech:
            yield speech

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        """Learn a voice from a recording and what is said in it."""
        self.check_awake()
        code = primary_language(language)
        if code not in LANGUAGES:
            raise InvalidRequest("tts.unknown_language", f"no voice speaks {language!r}")
        check_name(name)
        self._voices.require_folder()

        def learn() -> Voice:
            from tts_service.engines.higgs.model.loaded_model import encode_reference

            check_transcript(reference_transcript)
            frames = encode_reference(self._config.codec, decode_reference(reference_wav, RATE_HZ))
            return self._voices.add_voice(name.strip(), code, reference_transcript.strip(), frames)

        return await self._voice_worker.run(learn)

    async def delete_voice(self, voice_id: str) -> None:
        """Forget a voice that was added."""
        await self._voice_worker.run(partial(self._voices.delete_voice, voice_id))
        await self._evict_voice(voice_id)

    async def _evict_voice(self, voice_id: str) -> None:
        """Drop what the model keeps of a voice."""
        async with self._control_lock:
            if self._loaded is not None:
                await self._worker.run(partial(self._loaded.slots.evict_voice, voice_id))

    @property
    def parked(self) -> bool:
        """Whether the GPU's memory was given back."""
        return self._parked

    def check_awake(self) -> None:
        """Raises `NotReady` while parked."""
        if self._parked:
            raise NotReady("tts.parked", "higgs has given its memory back and must be woken before it speaks")

    @contextmanager
    def block_parking(self) -> Generator[None]:
        """While a reply is spoken, its pauses included, the engine cannot be parked."""
        self._open_replies += 1
        try:
            yield
        finally:
            self._open_replies -= 1

    async def memory(self) -> Mapping[MemoryKind, int]:
        """What is held on the GPU; the context that CUDA itself keeps there, also while parked, is not known here."""
        async with self._control_lock:
            return {} if self._loaded is None else await self._worker.run(self._loaded.gpu_memory)

    async def park(self) -> None:
        """Give the GPU's memory back: model, codec, cache, graph. Raises `AtCapacity` while anybody is spoken to."""
        if self._parked:
            return
        if self._open_replies or self.free_slots < self._config.slots:
            raise AtCapacity("tts.speaking", "a reply is being spoken; park when it has ended")
        self._parked = True
        await self._unload()

    async def wake(self) -> None:
        """Load everything again from the files. What fails leaves the engine parked."""
        if not self._parked:
            return
        try:
            await self._load()
            await self._start_decoding()
        except BaseException as error:
            # Whatever was loaded already would live as long as the error.
            traceback.clear_frames(error.__traceback__)
            await self._unload()
            raise
        self._parked = False

    async def _load(self) -> None:
        from tts_service.engines.higgs.model.loaded_model import LoadedHiggs

        self._loaded = await self._worker.run(partial(LoadedHiggs, self._config))
        if self._loaded.codec.rate_hz != RATE_HZ:
            raise EngineFailed("tts.model_layout", f"the codec speaks at {self._loaded.codec.rate_hz} Hz")
        self._loop = DecodeLoop(self._loaded.slots, self._loaded.books, self._worker)

    async def _start_decoding(self) -> None:
        """Begin to step, and warm up."""
        _, loop = self._ready
        self._decode_task = self._tasks.create_task(loop.run(), name="higgs-steps")
        config = SynthesisConfig(_BUILT_IN_VOICE, LANGUAGES[0])
        async with aclosing(self._generate_with_retry(PhraseRequest(0, "Hello."), config)) as warming_up:
            async for _ in warming_up:
                pass

    async def _unload(self) -> None:
        from tts_service.engines.higgs.model.loaded_model import release_gpu_memory

        stepping, self._decode_task = self._decode_task, None
        self._loaded = self._loop = None
        await stop_task(stepping)
        # Not before everybody has let go of the model.
        async with self._control_lock:
            await self._worker.run(release_gpu_memory)

    def _warn_missing_speakers(self) -> None:
        listed = {voice.id for voice in self.voices()}
        for cast in self._config.multi_speaker_voices:
            if cast not in listed:
                log.warning("cast lacks a voice", extra={"cast": cast})

    @property
    def _ready(self) -> tuple[LoadedHiggs, DecodeLoop]:
        if self._loaded is None or self._loop is None:
            raise EngineFailed("tts.not_loaded", "the speech model is not loaded")
        return self._loaded, self._loop

    def _phrase_prompt(self, phrase: PhraseRequest, config: SynthesisConfig) -> PhrasePrompt:
        manner = build_style_prompt(config.style, self._config.temperature)
        speakers = speaker_ids(config.voice.id)
        references = tuple(self._voices.find_reference(speaker) for speaker in speakers)
        text, voice_id = phrase.text, config.voice.id
        if None in references:
            # The model's own voice, which also ends a reply whose voice was deleted meanwhile.
            voice_id, references = _BUILT_IN_VOICE.id, (None,)
        elif len(speakers) > 1:
            text = tag_speakers(phrase.text, phrase.speaker_turns, len(speakers))
        return PhrasePrompt(text, voice_id, references, self._config.seed, manner.scene, manner.temperature)

    async def _generate_with_retry(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[Speech]:
        """Speak; what comes to nothing is tried once more with another seed, since nobody has heard anything of it."""
        loaded, loop = self._ready
        utterance, cap = self._phrase_prompt(phrase, config), max_phrase_frames(phrase.text, config.style.pace)
        for attempt in range(_ATTEMPTS):
            if attempt:
                log.warning("phrase was tried again")
            heard = False
            async with (
                loop.decode_phrase(replace(utterance, seed=utterance.seed + attempt), cap) as frames,
                aclosing(self._generate(phrase.text, loaded, frames)) as speech,
            ):
                if self._phrase_prompt(phrase, config).voice_id != utterance.voice_id:
                    # Deleted while this waited for its slot, and read after it had been forgotten.
                    await self._evict_voice(utterance.voice_id)
                async for piece in speech:
                    heard = True
                    yield piece
            if heard:
                return

    async def _generate(self, text: str, loaded: LoadedHiggs, frames: AsyncIterator[Codes]) -> AsyncGenerator[Speech]:
        emission, silence, clock = FrameWindower(), SilenceGuard(RATE_HZ), EstimatedWordTimes(text, RATE_HZ)

        async def pieces(window: Window) -> tuple[list[Speech], bool]:
            samples = await self._worker.run(partial(loaded.codec.decode_window, window))
            words = clock.pop_until(emission.decoded_frames * loaded.codec.samples_per_frame)
            return [*words, Samples(samples)], silence.push_samples(samples)

        async for frame in frames:
            if (window := emission.push_frame(frame)) is not None:
                spoken, over = await pieces(window)
                for piece in spoken:
                    yield piece
                if over:
                    return
        if (window := emission.flush()) is not None:
            for piece in (await pieces(window))[0]:
                yield piece


def higgs_engine(settings: TtsSettings) -> HiggsStreamAdapter:
    """The engine `higgs`."""
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    return HiggsStreamAdapter(engine, ReplyLimits.from_settings(settings))
