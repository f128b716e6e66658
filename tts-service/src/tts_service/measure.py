"""Measures how fast the engines of a machine without a GPU speak on this one.

`python -m tts_service.measure` prints one JSON object: for each engine that can load, `first_result_s` from the text of
a sentence of twelve words to its first audio, and `real_time_factor`, seconds of work per second of speech. Logs go to
standard error.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from service_kit.audio import SPEECH
from service_kit.engines.info import engine_class
from service_kit.engines.machine_profile import EngineSpeed
from service_kit.errors import AnchorError, root_cause

from tts_service.engine import SpeechAudio, SpeechEvent, Style, SynthesisConfig, TtsEngine
from tts_service.engines import ENGINES
from tts_service.settings import TtsSettings
from tts_service.voices.catalogue import resolve_config

log = logging.getLogger(__name__)

# Twelve words with a first clause of four, which is spoken alone, as the sentences of replies mostly begin.
SENTENCES: Mapping[str, tuple[str, str]] = {
    "espeak": ("en", "Good evening to you, this is the news of today from Port Alder."),
    "hibari": ("en", "Good evening to you, this is the news of today from Port Alder."),
    "kokoro": ("es", "Buenas noches a todos, estas son las noticias de hoy del puerto."),
}
_REPEATS = 3
# An engine that has spoken for so long is not asked again: a first start waits for the measurement.
_ENOUGH_S = 2.0
# Deadline for loading one engine and speaking with it.
_ENGINE_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class SpokenReply:
    """A reply: when its first audio came and when its last, counted from its text, and its PCM16 at 24 kHz."""

    first_audio_s: float
    total_s: float
    pcm: bytes

    @property
    def duration_s(self) -> float:
        """Length of the speech."""
        return SPEECH.ms_of(len(self.pcm)) / 1000


async def speak_reply(engine: TtsEngine, config: SynthesisConfig, text: str) -> SpokenReply:
    """Speak `text` as one reply whose text comes all at once."""
    loop = asyncio.get_running_loop()
    stream = engine.open_stream(config)
    pcm = bytearray()
    first_s: list[float] = []

    async def emit(event: SpeechEvent) -> None:
        if isinstance(event, SpeechAudio):
            first_s.append(loop.time())
            pcm.extend(event.pcm)

    started_s = loop.time()
    await stream.send_text(text)
    await stream.end_text()
    await stream.run(emit)
    ended_s = loop.time()
    return SpokenReply((first_s[0] if first_s else ended_s) - started_s, ended_s - started_s, bytes(pcm))


async def measure_engine(name: str, settings: TtsSettings) -> EngineSpeed:
    """Load the engine and speak its sentence up to three times; the median counts. Raises what its loading raises."""
    language, sentence = SENTENCES[name]
    engine: TtsEngine = engine_class(ENGINES, name)(settings)
    async with asyncio.timeout(_ENGINE_TIMEOUT_S), engine.lifespan():
        config = resolve_config(engine.voices(), "", language, Style())
        replies = [await speak_reply(engine, config, sentence)]
        while len(replies) < _REPEATS and sum(reply.total_s for reply in replies) < _ENOUGH_S:
            replies.append(await speak_reply(engine, config, sentence))
    return EngineSpeed(
        round(statistics.median(reply.first_audio_s for reply in replies), 4),
        round(statistics.median(reply.total_s / max(reply.duration_s, 0.1) for reply in replies), 4),
    )


async def measure(settings: TtsSettings) -> dict[str, EngineSpeed]:
    """The speed of each engine that loads; why others do not is logged."""
    # Without a cache, and without a wait for the listener to catch up.
    settings = settings.model_copy(update={"phrase_cache_mib": 0, "max_ahead_s": 3600.0, "engine_silent_s": 60.0})
    speeds: dict[str, EngineSpeed] = {}
    for name in SENTENCES:
        try:
            speeds[name] = await measure_engine(name, settings)
        except (Exception, BaseExceptionGroup) as error:
            cause = root_cause(error)
            known = isinstance(cause, AnchorError | TimeoutError | OSError)
            log.warning("engine not measured: %s: %s", name, cause, exc_info=None if known else error)
    return speeds


def main() -> None:
    """Print the measured speeds as JSON."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    speeds = asyncio.run(measure(TtsSettings()))
    sys.stdout.write(json.dumps({name: asdict(speed) for name, speed in speeds.items()}) + "\n")


if __name__ == "__main__":
    main()
