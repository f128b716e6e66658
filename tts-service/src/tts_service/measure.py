"""Measures how fast the engines of a machine without a GPU speak on this one.

`python -m tts_service.measure` prints a JSON object after each engine, so that a measurement that takes too long is not
lost: for each so far, `first_result_s` from the text of a sentence of twelve words to its first audio, and
`real_time_factor`, seconds of work per second of speech. An engine of several sentences has a row for each language.
Logs go to standard error.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec

from service_kit.audio import SPEECH
from service_kit.engines.info import engine_class
from service_kit.engines.machine_profile import EngineSpeed, language_row
from service_kit.errors import AnchorError, root_cause

from tts_service.engine import SpeechAudio, SpeechEvent, Style, SynthesisConfig, TtsEngine
from tts_service.engines import ENGINES
from tts_service.routing.kokoro_use import ENGINE as KOKORO
from tts_service.routing.kokoro_use import kokoro_folder
from tts_service.settings import TtsSettings
from tts_service.voices.catalogue import resolve_config

log = logging.getLogger(__name__)

# Twelve words with a first clause of four, which is spoken alone, as the sentences of replies mostly begin.
_ENGLISH = {"en": "Good evening to you, this is the news of today from Port Alder."}
SENTENCES: Mapping[str, Mapping[str, str]] = {
    "espeak": _ENGLISH,
    "hibari": _ENGLISH,
    # It is decided for each of its languages: a sentence has more phonemes in some than in others.
    KOKORO: {
        "es": "Buenas noches a todos, estas son las noticias de hoy del puerto.",
        "fr": "Bonsoir à tous, voici les nouvelles du soir en direct du port.",
        "it": "Buonasera a tutti, queste sono le notizie di oggi dal nostro porto.",
        "pt": "Boa noite a todos, estas são as notícias de hoje do porto.",
        "hi": "नमस्कार सभी को, ये आज शाम पोर्ट एल्डर से ताज़ा समाचार हैं।",
    },
}
# The packages of the engines that need no model of the store.
_PACKAGES = {"espeak": "espeak_worker", "hibari": "hibari"}
_REPEATS = 3
# An engine that has spoken for so long is not asked again: a first start waits for the measurement.
_ENOUGH_S = 2.0
# Deadline for the sentence of one row.
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


async def measure_engine(name: str, settings: TtsSettings) -> AsyncGenerator[tuple[str, EngineSpeed]]:
    """Load the engine and speak its sentences, up to three times each; the median counts.

    Yields the name of each row with its speed. Raises what the loading raises; a language that fails is left out.
    """
    engine: TtsEngine = engine_class(ENGINES, name)(settings)
    async with engine.lifespan():
        for row, language, sentence in _rows(name):
            with _failure_logged(row):
                async with asyncio.timeout(_ENGINE_TIMEOUT_S):
                    speed = await _measure_sentence(engine, language, sentence)
                yield row, speed


async def _measure_sentence(engine: TtsEngine, language: str, sentence: str) -> EngineSpeed:
    config = resolve_config(engine.voices(), "", language, Style())
    replies = [await speak_reply(engine, config, sentence)]
    while len(replies) < _REPEATS and sum(reply.total_s for reply in replies) < _ENOUGH_S:
        replies.append(await speak_reply(engine, config, sentence))
    return EngineSpeed(
        round(statistics.median(reply.first_audio_s for reply in replies), 4),
        round(statistics.median(reply.total_s / max(reply.duration_s, 0.1) for reply in replies), 4),
    )


def _rows(name: str) -> list[tuple[str, str, str]]:
    """The rows of an engine: name of the row, language, sentence."""
    sentences = SENTENCES[name]
    return [
        (language_row(name, language) if len(sentences) > 1 else name, language, sentence)
        for language, sentence in sentences.items()
    ]


@contextmanager
def _failure_logged(row: str) -> Generator[None]:
    """Log why a row is not measured."""
    try:
        yield
    except (Exception, BaseExceptionGroup) as error:
        cause = root_cause(error)
        known = isinstance(cause, AnchorError | TimeoutError | OSError)
        log.warning("engine not measured: %s: %s", row, cause, exc_info=None if known else error)


async def measure(settings: TtsSettings) -> AsyncGenerator[dict[str, EngineSpeed]]:
    """Yield the speeds so far after each row of the engines that load; why others do not is logged."""
    # Without a cache, and without a wait for the listener to catch up.
    settings = settings.model_copy(update={"phrase_cache_mib": 0, "max_ahead_s": 3600.0, "engine_silent_s": 60.0})
    speeds: dict[str, EngineSpeed] = {}
    for name in SENTENCES:
        with _failure_logged(name):
            async with aclosing(measure_engine(name, settings)) as rows:
                async for row, speed in rows:
                    speeds[row] = speed
                    yield dict(speeds)


def installed_engines() -> list[str]:
    """The rows of the engines that are installed, or whose model is there."""
    settings = TtsSettings()
    installed = [name for name, package in _PACKAGES.items() if find_spec(package) is not None]
    if kokoro_folder(settings).is_dir():
        installed.append(KOKORO)
    return [row for name in installed for row, _, _ in _rows(name)]


async def _print_speeds(settings: TtsSettings) -> None:
    print("{}", flush=True)  # noqa: T201
    async with aclosing(measure(settings)) as measured:
        async for speeds in measured:
            print(json.dumps({name: asdict(speed) for name, speed in speeds.items()}), flush=True)  # noqa: T201


def main() -> None:
    """Print the measured speeds as JSON."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    asyncio.run(_print_speeds(TtsSettings()))


if __name__ == "__main__":
    main()
