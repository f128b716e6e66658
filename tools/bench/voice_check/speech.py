"""Speaks sentences through the engine's own decode loop and windows, and the default voice through the engine."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gpu.higgs_steps import Speaker
from service_kit.engines.worker import EngineWorker
from tts_service.engine import PhraseRequest, SynthesisConfig
from tts_service.engine import Samples as EngineSamples
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.decode_loop import DecodeLoop
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.engine import HiggsEngine
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.phrase_limits import max_phrase_frames
from tts_service.engines.higgs.prompt import PhrasePrompt, VoiceReference
from tts_service.engines.higgs.windowing import FrameWindower

from voice_check.sound import Samples, level_dbfs, longest_silence_s, save_wav

SEEDS = (1, 2, 3)
_DEFAULT_TEXTS = ("Good morning, and welcome to the programme.", "The museum opens its doors again on Saturday.")


@dataclass(frozen=True, slots=True)
class SpokenSeed:
    """A sentence: its frames, shape [n, books], and the samples of the windows in which it was decoded."""

    seed: int
    ended: bool
    frames: Codes
    samples: Samples


async def speak_seeds(
    speaker: Speaker, codec: CodecDecoder, reference: VoiceReference, text: str, most_frames: int
) -> list[SpokenSeed]:
    """Speak `text` in a learned voice with each seed."""
    worker = EngineWorker("voice-check", 4 * speaker.slots.count)
    loop = DecodeLoop(speaker.slots, speaker.model.books, worker)
    limit = min(max_phrase_frames(text, 1.0), most_frames)
    stepping = asyncio.create_task(loop.run())
    try:
        return [
            await _speak(loop, worker, codec, PhrasePrompt(text, "learned", (reference,), seed), limit)
            for seed in SEEDS
        ]
    finally:
        stepping.cancel()
        with suppress(asyncio.CancelledError):
            await stepping
        worker.close()


async def _speak(
    loop: DecodeLoop, worker: EngineWorker, codec: CodecDecoder, prompt: PhrasePrompt, limit: int
) -> SpokenSeed:
    windower, streamed, spoken = FrameWindower(), list[Samples](), list[Codes]()
    async with loop.decode_phrase(prompt, limit) as frames:
        async for frame in frames:
            spoken.append(frame)
            if (window := windower.push_frame(frame)) is not None:
                streamed.append(await worker.run(partial(codec.decode_window, window)))
    if (window := windower.flush()) is not None:
        streamed.append(await worker.run(partial(codec.decode_window, window)))
    return SpokenSeed(prompt.seed, len(spoken) < limit, np.stack(spoken), np.concatenate(streamed))


def judge_seed(spoken: SpokenSeed, codec: CodecDecoder, folder: Path) -> dict[str, Any]:
    """Save the sentence; its figures, and how far it is from one decoding of all frames."""
    samples = spoken.samples
    whole = codec.decode_frames(spoken.frames).float().cpu().numpy()
    name = f"learned-seed-{spoken.seed}.wav"
    save_wav(folder / name, samples, codec.rate_hz)
    return {
        "seed": spoken.seed,
        "ended": spoken.ended,
        "seconds": len(samples) / codec.rate_hz,
        "level_dbfs": level_dbfs(samples),
        "longest_silence_s": longest_silence_s(samples, codec.rate_hz),
        "streamed_error": float(np.sqrt(np.square(samples - whole).mean() / max(np.square(whole).mean(), 1e-12))),
        "file": name,
    }


async def speak_default(config: HiggsConfig, folder: Path) -> list[Samples]:
    """Two sentences in the engine's default voice, as a first user hears it."""
    engine, spoken = HiggsEngine(config), list[Samples]()
    async with engine.lifespan():
        voice = engine.voices()[0]
        for number, text in enumerate(_DEFAULT_TEXTS, 1):
            async with engine.synthesize(PhraseRequest(0, text), SynthesisConfig(voice, "en")) as speech:
                pieces = [piece.samples async for piece in speech if isinstance(piece, EngineSamples)]
            spoken.append(np.concatenate(pieces))
            save_wav(folder / f"default-{number}.wav", spoken[-1], engine.info.sample_rate_hz)
    return spoken
