"""The largest recording that a voice may be learned from comes through the door."""

from __future__ import annotations

import grpc
import pytest
from anchor.tts.v1 import tts_pb2, tts_pb2_grpc
from grpc import aio
from service_kit.testing.plugin import serve_grpc
from tts_service.engines.scripted import scripted_engine
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.settings import TtsSettings
from tts_service.voices.reference_audio import MAX_RECORDING_BYTES, MAX_REFERENCE_S

STEREO_AT_48_KHZ = 48_000 * 2 * 2


async def test_the_longest_recording_in_stereo_reaches_the_engine() -> None:
    servicer = TtsServicer(scripted_engine(TtsSettings(engine="scripted")), 1)

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)

    wav = bytes(int(MAX_REFERENCE_S * STEREO_AT_48_KHZ))
    async with serve_grpc(SERVICE_NAME, add, max_message_bytes=MAX_RECORDING_BYTES) as channel:
        with pytest.raises(aio.AioRpcError) as refused:
            await tts_pb2_grpc.TextToSpeechServiceStub(channel).AddVoice(tts_pb2.AddVoiceRequest(reference_wav=wav))
    # It came to where this engine says that it learns no voices.
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
