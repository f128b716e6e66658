"""Speech that would be noise is refused before it is heard, and words lose what is none."""

from __future__ import annotations

import asyncio

import pytest
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from orchestrator.clients.stt import SttClient
from orchestrator.clients.tts import TtsClient
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript
from service_kit.errors import PeerFailed
from service_kit.testing.plugin import serve_grpc


class Garbling(tts_pb2_grpc.TextToSpeechServiceServicer):
    """Says one good run of speech, then the given one."""

    def __init__(self, then: pb.SpeechAudio) -> None:
        self._then = then

    async def Synthesize(self, request_iterator, context) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await anext(request_iterator)
        for audio in (pb.SpeechAudio(offset_ms=0, pcm=bytes(40 * 48)), self._then):
            await context.write(pb.SynthesizeResponse(audio=audio))
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "then",
    [pb.SpeechAudio(offset_ms=40, pcm=bytes(41)), pb.SpeechAudio(offset_ms=80, pcm=bytes(48))],
    ids=["half a sample", "a gap"],
)
async def test_half_a_sample_and_a_gap_fail_the_voice(then: pb.SpeechAudio) -> None:
    def add(server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(Garbling(then), server)

    heard = []
    async with (
        serve_grpc("anchor.tts.v1.TextToSpeechService", add) as channel,
        asyncio.timeout(20),
        TtsClient(channel).open("", "en", Style()) as stream,
    ):
        with pytest.raises(PeerFailed) as failure:
            heard += [item async for item in stream.speech()]
    assert failure.value.code == "tts.garbled"


class GarblingRecogniser(stt_pb2_grpc.SpeechToTextServiceServicer):
    """Answers with control characters in the words."""

    async def Transcribe(self, request_iterator, context) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await anext(request_iterator)
        garbled = "\x00\x1b[31mgood\x07evening\x9f"
        partial = stt_pb2.PartialTranscript(segment_id=1, text=garbled)
        await context.write(stt_pb2.TranscribeResponse(partial_transcript=partial))
        final = stt_pb2.FinalTranscript(
            segment_id=1, revision=1, text=garbled, alternatives=[garbled], words=[stt_pb2.Word(text="\x00good")]
        )
        await context.write(stt_pb2.TranscribeResponse(final_transcript=final))


async def test_transcripts_carry_no_control_characters() -> None:
    def add(server) -> None:
        stt_pb2_grpc.add_SpeechToTextServiceServicer_to_server(GarblingRecogniser(), server)

    async with (
        serve_grpc("anchor.stt.v1.SpeechToTextService", add) as channel,
        asyncio.timeout(20),
        SttClient(channel).open("en") as stream,
    ):
        partial, final = [item async for item in stream.transcripts()]
    assert isinstance(partial, PartialTranscript)
    assert isinstance(final, FinalTranscript)
    assert partial.text == final.text == final.alternatives[0] == "[31mgood evening"
    assert final.words[0].text == "good"
