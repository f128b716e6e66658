"""The engine `csm`. Imports torch only when the model is loaded."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from service_kit.engines.info import EngineInfo
from service_kit.engines.worker import EngineWorker
from service_kit.errors import EngineFailed, InvalidRequest, NotFound

from tts_service.engine import PhraseRequest, Samples, Speech, SynthesisConfig, Voice, VoiceConsent
from tts_service.engines.csm.config import CsmConfig
from tts_service.engines.csm.frames import Codes, FrameAccumulator, PromptTurn
from tts_service.engines.engine_pool import EnginePool
from tts_service.engines.phrase_limits import EstimatedWordTimes, PhraseLimiter, max_frames
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import CloningStreamAdapter, ReplyLimits
from tts_service.voices.catalogue import primary_language
from tts_service.voices.reference_audio import check_name, check_transcript, decode_reference
from tts_service.voices.voice_folder import VoiceFolder, read_codes, write_codes

if TYPE_CHECKING:
    from tts_service.engines.csm.loading import LoadedCsm

log = logging.getLogger(__name__)

RATE_HZ = 24_000
FRAME_MS = 80
# The language of the training data.
LANGUAGE = "en"
# Speakers without a reference: the model chooses a voice for each, which may differ from phrase to phrase.
_BUILT_IN_VOICES = tuple(Voice(f"csm-{speaker}", f"CSM, speaker {speaker}", (LANGUAGE,)) for speaker in range(2))
_ATTEMPTS = 2
# One task of the current phrase, and one of a cancelled phrase.
_MAX_WAITING = 4
# Recordings that wait for encoding.
_MAX_WAITING_RECORDINGS = 4


class CsmEngine:
    """A `PhraseEngine` and `CloningEngine` that speaks one phrase at a time."""

    def __init__(self, config: CsmConfig) -> None:
        self._config = config
        self._worker = EngineWorker("csm", _MAX_WAITING)
        # Encoding a recording takes seconds; on a thread of its own it does not delay the generation.
        self._voice_worker = EngineWorker("csm-voices", _MAX_WAITING_RECORDINGS)
        self._pool = EnginePool((self._worker,))
        self._loaded: LoadedCsm | None = None
        self._voices: VoiceFolder[Codes] | None = None
        self._info = EngineInfo(
            name="csm",
            model=config.model.name,
            version="1",
            languages=(LANGUAGE,),
            sample_rate_hz=RATE_HZ,
            notes={"word marks": "estimated", "style": "not supported"},
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        """Number of phrases that could start now."""
        return self._pool.free_count

    def voices(self) -> Sequence[Voice]:
        return _BUILT_IN_VOICES if self._voices is None else (*_BUILT_IN_VOICES, *self._voices.voices())

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        from tts_service.engines.csm.loading import LoadedCsm

        try:
            loaded = await self._worker.run(partial(LoadedCsm, self._config))
            if loaded.rate_hz != RATE_HZ or loaded.frame_ms != FRAME_MS:
                raise EngineFailed(
                    "tts.model_layout", f"the codec has {loaded.rate_hz} Hz and frames of {loaded.frame_ms} ms"
                )
            read = partial(read_codes, books=loaded.books, codes=loaded.codes)
            voices = VoiceFolder(self._config.voices, "TTS_CSM_VOICES", "frames.npy", read)
            await self._voice_worker.run(voices.load)
            self._loaded, self._voices = loaded, voices
            await self._warm_up()
            yield
        finally:
            self._loaded = self._voices = None
            self._worker.close()
            self._voice_worker.close()

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with self._pool.acquire(), aclosing(self._generate_with_retry(phrase.text, config.voice.id)) as speech:
            yield speech

    def cloning_languages(self) -> Sequence[str]:
        """The language of the model. Raises `Unsupported` without a folder for voices."""
        self._ready[1].require_folder()
        return (LANGUAGE,)

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Clone a voice from a recording and its transcript."""
        loaded, voices = self._ready
        if primary_language(language) != LANGUAGE:
            raise InvalidRequest("tts.unknown_language", f"this model speaks {LANGUAGE!r} only")
        voices.require_folder()

        def encode_and_save() -> Voice:
            check_name(name)
            check_transcript(reference_transcript)
            frames = loaded.model.encode_audio(decode_reference(reference_wav, RATE_HZ))
            return voices.save_voice(
                name.strip(), LANGUAGE, reference_transcript.strip(), partial(write_codes, frames=frames), consent
            )

        return await self._voice_worker.run(encode_and_save)

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice."""
        _, voices = self._ready
        await self._voice_worker.run(partial(voices.delete_voice, voice_id))

    @property
    def _ready(self) -> tuple[LoadedCsm, VoiceFolder[Codes]]:
        if self._loaded is None or self._voices is None:
            raise EngineFailed("tts.not_loaded", "the speech model is not loaded")
        return self._loaded, self._voices

    def _prompt_turns(self, text: str, voice_id: str) -> list[PromptTurn]:
        """The model's prompt: the voice's reference as an earlier turn of the same speaker, then `text`."""
        for speaker, voice in enumerate(_BUILT_IN_VOICES):
            if voice.id == voice_id:
                return [PromptTurn(speaker, text)]
        cloned = self._ready[1].find_voice(voice_id)
        if cloned is None:
            raise NotFound("tts.unknown_voice", f"no voice {voice_id!r}")
        return [PromptTurn(0, cloned.transcript, cloned.conditioning), PromptTurn(0, text)]

    async def _generate_with_retry(self, text: str, voice_id: str) -> AsyncGenerator[Speech]:
        """Generate the phrase; retry once with another seed if the model returns no audio at all."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                log.warning("phrase retried")
            has_output = False
            async with aclosing(self._generate(text, voice_id, self._config.seed + attempt)) as speech:
                async for piece in speech:
                    has_output = True
                    yield piece
            if has_output:
                return

    async def _generate(self, text: str, voice_id: str, seed: int) -> AsyncGenerator[Speech]:
        """Generate frame by frame, so that cancelling waits for at most one step."""
        model, run = self._ready[0].model, self._worker.run
        room = await run(partial(model.start_phrase, self._prompt_turns(text, voice_id), seed))
        accumulator, limiter = FrameAccumulator(), PhraseLimiter(text, RATE_HZ)
        words = EstimatedWordTimes(text, RATE_HZ)
        try:
            for _ in range(min(room, max_frames(text, FRAME_MS))):
                frame = await run(model.next_frame)
                frames = accumulator.flush() if frame is None else accumulator.push_frame(frame)
                if frames is not None:
                    decoded = await run(partial(model.decode_frames, frames))
                    samples = limiter.limit_samples(decoded[limiter.emitted_samples :])
                    for word in words.pop_until(limiter.emitted_samples):
                        yield word
                    yield Samples(samples)
                if frame is None or limiter.ended:
                    return
            if (frames := accumulator.flush()) is not None:
                decoded = await run(partial(model.decode_frames, frames))
                yield Samples(limiter.limit_samples(decoded[limiter.emitted_samples :]))
        finally:
            await run(model.reset)

    async def _warm_up(self) -> None:
        async with self.synthesize(
            PhraseRequest(0, "Hello."), SynthesisConfig(_BUILT_IN_VOICES[0], LANGUAGE)
        ) as speech:
            async for _ in speech:
                pass


def csm_engine(settings: TtsSettings) -> CloningStreamAdapter:
    """Create the engine `csm`."""
    return CloningStreamAdapter(CsmEngine(CsmConfig.from_settings(settings)), ReplyLimits.from_settings(settings))
