"""Lets tts-service speak."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from service_kit.audio import SPEECH
from service_kit.errors import EngineFailed
from service_kit.rpc.channel import open_channel, read_message, write_message

_BETWEEN_S = 60.0


@dataclass(frozen=True, slots=True)
class SpokenText:
    """PCM16 mono at 24 kHz, and the time from the text to the first and the last of it."""

    pcm: bytes
    first_audio_s: float
    total_s: float

    @property
    def realtime_factor(self) -> float:
        """Time for each second of speech."""
        return self.total_s / (SPEECH.ms_of(len(self.pcm)) / 1000)


async def speak(target: str, text: str, language: str, voice: str = "") -> SpokenText:
    """Synthesise `text`. Raises `AnchorError`, also when there is no audio (`verify.no_speech`)."""
    async with open_channel(target) as channel:
        call: Any = tts_pb2_grpc.TextToSpeechServiceStub(channel).Synthesize()
        config = pb.SynthesisConfig(voice=voice, language=language)
        requests = (
            pb.SynthesizeRequest(config=config),
            pb.SynthesizeRequest(text=pb.TextDelta(text=text)),
            pb.SynthesizeRequest(end_of_text=pb.EndOfText()),
        )
        for request in requests:
            await write_message(call, request, "tts")
        began_s, first_s, pcm = time.monotonic(), 0.0, bytearray()
        while (event := await _read(call)) is not None:
            if event.audio.pcm:
                first_s = first_s or time.monotonic() - began_s
                pcm += event.audio.pcm
    if not pcm:
        raise EngineFailed("verify.no_speech", f"tts-service had no audio for {text!r}")
    return SpokenText(bytes(pcm), first_s, time.monotonic() - began_s)


async def _read(call: Any) -> pb.SynthesizeResponse | None:
    return await read_message(call, "tts", _BETWEEN_S)
