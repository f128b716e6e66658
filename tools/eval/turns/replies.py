"""The replies of the barge-in simulation, spoken by the embedded TTS engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import soxr
from orchestrator.conversation.model import ports
from recordings import PROJECT
from service_kit.audio import MICROPHONE, SPEECH
from tts_service.engine import SpeechAudio, SpeechEvent, SpeechMark, SynthesisConfig
from tts_service.engines.espeak.engine import VOICES, espeak_engine
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import StreamAdapter

# Two passages that the recogniser's language model was built from, and two texts unknown to it.
_KNOWN = ("about-the-anchor", "weekend-weather")
_FREE = (
    "The committee met for almost five hours yesterday evening, and nobody expected an easy answer. Three members "
    "asked for more time, two wanted a vote at once, and the chair reminded everyone that the money had been promised "
    "to the new school long before. In the end they agreed to meet again on Thursday, with the figures in writing.",
    "When the old cinema closed, a group of neighbours bought the projector and carried it home in pieces. Now they "
    "show a film in the yard every other Friday, and whoever comes brings a chair and something to eat. Last week it "
    "rained, so forty people watched a silent comedy from under two umbrellas and a tent.",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: text, marks, and speech as 16 kHz mono PCM16; `sent` is the same speech at 24 kHz."""

    text: str
    marks: tuple[ports.SpeechMark, ...]
    pcm: bytes
    sent: bytes = b""

    @property
    def length_ms(self) -> int:
        return round(MICROPHONE.ms_of(len(self.pcm)))


@asynccontextmanager
async def load_tts_engine() -> AsyncGenerator[StreamAdapter]:
    """The embedded TTS engine, with no limit on synthesis ahead of playback."""
    engine = espeak_engine(TtsSettings(max_ahead_s=3600))
    async with engine.lifespan():
        yield engine


async def synthesise_replies(engine: StreamAdapter) -> list[Reply]:
    """Synthesise all replies."""
    known = [_passage(name) for name in _KNOWN]
    return [await _synthesise(engine, text) for text in (*known, *_FREE)]


def _passage(name: str) -> str:
    _, _, body = (PROJECT / f"content/knowledge/{name}.md").read_text("utf-8").split("---", 2)
    return " ".join(body.split())


async def _synthesise(engine: StreamAdapter, text: str) -> Reply:
    voice = next(voice for voice in VOICES if "en" in voice.languages)
    reply = engine.open_stream(SynthesisConfig(voice, "en"))
    await reply.send_text(text)
    await reply.end_text()
    pcm, marks = bytearray(), list[ports.SpeechMark]()

    async def on_event(event: SpeechEvent) -> None:
        match event:
            case SpeechAudio():
                pcm.extend(event.pcm)
            case SpeechMark():
                marks.append(ports.SpeechMark(event.text_start, event.text_end, event.offset_ms))
            case _:
                pass

    await reply.run(on_event)
    samples = soxr.resample(np.frombuffer(bytes(pcm), "<i2"), SPEECH.rate_hz, MICROPHONE.rate_hz)
    return Reply(text, tuple(marks), samples.astype("<i2").tobytes(), bytes(pcm))
