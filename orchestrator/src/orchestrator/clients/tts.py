"""Client of tts-service; implements the conversation's `TextToSpeech`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict

from anchor.tts.v1 import tts_pb2, tts_pb2_grpc
from grpc import aio
from service_kit.audio import SAMPLE_BYTES, SPEECH
from service_kit.errors import PeerFailed
from service_kit.observability.context import to_metadata
from service_kit.rpc.channel import await_response, read_message, write_message

from orchestrator.conversation.messages.server import Style, VoiceChoice
from orchestrator.conversation.model.ports import PhraseStarted, Speech, SpeechAudio, SpeechMark
from orchestrator.conversation.model.voice_store import StoredVoice, VoiceConsent, VoiceListing

_PEER = "tts"
_LIST_TIMEOUT_S = 2.0
# Learning a voice of 15 s takes a few seconds on two busy cores; others may wait before it.
_CLONE_TIMEOUT_S = 90.0
_DELETE_TIMEOUT_S = 30.0

_Call = aio.StreamStreamCall[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse]


class TtsStream:
    """One `Synthesize` call: one reply."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    async def send_text(self, text: str) -> None:
        await write_message(self._call, tts_pb2.SynthesizeRequest(text=tts_pb2.TextDelta(text=text)), _PEER)

    async def end_text(self) -> None:
        await write_message(self._call, tts_pb2.SynthesizeRequest(end_of_text=tts_pb2.EndOfText()), _PEER)

    async def speech(self) -> AsyncGenerator[Speech]:
        """Yield speech as it arrives. Raises `PeerFailed` for half a sample, or audio at a wrong offset."""
        sent_ms = 0.0
        while (response := await read_message(self._call, _PEER)) is not None:
            match response.WhichOneof("event"):
                case "audio":
                    if len(response.audio.pcm) % SAMPLE_BYTES or abs(response.audio.offset_ms - sent_ms) > 1:
                        raise PeerFailed("tts.garbled", "tts-service sent half a sample, or audio at a wrong offset")
                    sent_ms += SPEECH.ms_of(len(response.audio.pcm))
                    yield SpeechAudio(response.audio.offset_ms, response.audio.pcm)
                case "speech_mark":
                    mark = response.speech_mark
                    yield SpeechMark(mark.text_start, mark.text_end, mark.offset_ms)
                case "phrase_started":
                    phrase = response.phrase_started
                    yield PhraseStarted(phrase.text_start, phrase.text_end)
                case _:
                    continue


def _style(style: Style) -> tts_pb2.SpeechStyle:
    return tts_pb2.SpeechStyle(pace=style.pace, warmth=style.warmth, humour=style.humour, energy=style.energy)


class TtsClient:
    """Opens `Synthesize` calls on one channel, and lists the voices."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = tts_pb2_grpc.TextToSpeechServiceStub(channel)

    @asynccontextmanager
    async def open(self, voice: str, language: str, style: Style) -> AsyncGenerator[TtsStream]:
        """Start synthesis of a reply; leaving the context stops it. Raises `PeerFailed`."""
        call: _Call = self._stub.Synthesize(metadata=to_metadata())
        try:
            # The conversation sends text as its listener needs speech, and a request for a file wants all of it.
            config = tts_pb2.SynthesisConfig(voice=voice, language=language, style=_style(style), paced_by_text=True)
            await write_message(call, tts_pb2.SynthesizeRequest(config=config), _PEER)
            yield TtsStream(call)
        finally:
            call.cancel()

    async def list_voices(self) -> VoiceListing:
        """List all voices, and say whether one can be added. Raises `PeerFailed`."""
        response = await await_response(self._stub.ListVoices(tts_pb2.ListVoicesRequest()), _PEER, _LIST_TIMEOUT_S)
        support = response.cloning
        return VoiceListing(
            tuple(map(_stored_voice, response.voices)), tuple(support.languages), support.unavailable_reason
        )

    async def add_voice(
        self, name: str, reference_wav: bytes, transcript: str, language: str, consent: VoiceConsent
    ) -> StoredVoice:
        """Clone a voice. Raises the refusal of tts-service, or `PeerFailed`."""
        request = tts_pb2.AddVoiceRequest(
            name=name,
            reference_wav=reference_wav,
            reference_transcript=transcript,
            language=language,
            consent=tts_pb2.VoiceConsent(**asdict(consent)),
        )
        response = await await_response(self._stub.AddVoice(request), _PEER, _CLONE_TIMEOUT_S)
        return _stored_voice(response.voice)

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice. Raises the refusal of tts-service, or `PeerFailed`."""
        request = tts_pb2.DeleteVoiceRequest(voice_id=voice_id)
        await await_response(self._stub.DeleteVoice(request), _PEER, _DELETE_TIMEOUT_S)

    async def voices(self) -> tuple[VoiceChoice, ...]:
        """List all voices, each language's default first. Raises `PeerFailed`."""
        return tuple(voice.choice for voice in (await self.list_voices()).voices)


def _stored_voice(voice: tts_pb2.Voice) -> StoredVoice:
    choice = VoiceChoice(
        voice.id, voice.name, tuple(voice.languages), voice.engine, voice.cloned, tuple(voice.style_fields)
    )
    stored = voice.consent
    consent = VoiceConsent(stored.id, stored.name, stored.language, stored.given_unix_s)
    return StoredVoice(choice, consent if voice.HasField("consent") else None, voice.created_unix_s)
