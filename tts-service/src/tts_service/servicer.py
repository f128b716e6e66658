"""gRPC servicer of `TextToSpeechService`: converts protobuf messages to engine calls and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import asdict, replace

from anchor.tts.v1 import tts_pb2, tts_pb2_grpc
from grpc import aio
from service_kit.errors import AtCapacity, InvalidRequest, Unsupported
from service_kit.tasks import TaskGroup

from tts_service.engine import (
    CloningEngine,
    ConsentSummary,
    PhraseStarted,
    ReplyStream,
    SpeechAudio,
    SpeechEvent,
    SpeechMark,
    Style,
    TtsEngine,
    Voice,
    VoiceConsent,
    cloning_unsupported,
)
from tts_service.voices.catalogue import resolve_config, voices_for_language
from tts_service.voices.consent import check_consent

SERVICE_NAME = tts_pb2.DESCRIPTOR.services_by_name["TextToSpeechService"].full_name

# Fields of a voice that the message has under the same name.
_VOICE_FIELDS = ("id", "name", "languages", "cloned", "created_unix_s", "style_fields")

Context = aio.ServicerContext[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse]


class TtsServicer(tts_pb2_grpc.TextToSpeechServiceServicer):
    """Speaks replies with one engine, at most `max_streams` at a time."""

    def __init__(self, engine: TtsEngine, max_streams: int) -> None:
        self._engine = engine
        self._max_streams = max_streams
        self._streams = 0

    async def Synthesize(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[tts_pb2.SynthesizeRequest], context: Context
    ) -> None:
        async def emit(event: SpeechEvent) -> None:
            await context.write(_to_response(event))

        with self._stream_slot():
            first = await anext(request_iterator, None)
            if first is None or first.WhichOneof("request") != "config":
                raise InvalidRequest("tts.config_missing", "the first message must be the config")
            voice, language, style = _from_config(first.config)
            config = resolve_config(self._engine.voices(), voice, language, style)
            stream = self._engine.open_stream(replace(config, paced_by_text=first.config.paced_by_text))
            async with TaskGroup() as tasks:
                forwarding = tasks.create_task(_forward_text(request_iterator, stream))
                await stream.run(emit)
                forwarding.cancel()

    async def ListVoices(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: tts_pb2.ListVoicesRequest, context: object
    ) -> tts_pb2.ListVoicesResponse:
        listed = voices_for_language(self._engine.voices(), request.language)
        return tts_pb2.ListVoicesResponse(voices=map(self._to_voice, listed), cloning=self._cloning_support())

    async def AddVoice(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: tts_pb2.AddVoiceRequest, context: object
    ) -> tts_pb2.AddVoiceResponse:
        engine, consent = self._cloning_engine(), _from_consent(request.consent)
        engine.cloning_languages()
        check_consent(consent)
        voice = await engine.add_voice(
            request.name, request.reference_wav, request.reference_transcript, request.language, consent
        )
        return tts_pb2.AddVoiceResponse(voice=self._to_voice(voice))

    async def DeleteVoice(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: tts_pb2.DeleteVoiceRequest, context: object
    ) -> tts_pb2.DeleteVoiceResponse:
        await self._cloning_engine().delete_voice(request.voice_id)
        return tts_pb2.DeleteVoiceResponse()

    @contextmanager
    def _stream_slot(self) -> Generator[None]:
        if self._streams >= self._max_streams:
            raise AtCapacity("tts.at_capacity", f"{self._streams} replies are in progress; retry later")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def _cloning_engine(self) -> CloningEngine:
        if not isinstance(self._engine, CloningEngine):
            raise cloning_unsupported(self._engine.info.name)
        return self._engine

    def _cloning_support(self) -> tts_pb2.CloningSupport:
        try:
            return tts_pb2.CloningSupport(languages=self._cloning_engine().cloning_languages())
        except Unsupported as error:
            return tts_pb2.CloningSupport(unavailable_reason=error.message)

    def _to_voice(self, voice: Voice) -> tts_pb2.Voice:
        fields = {name: getattr(voice, name) for name in _VOICE_FIELDS}
        consent = None if voice.consent is None else tts_pb2.VoiceConsent(**asdict(voice.consent))
        return tts_pb2.Voice(engine=voice.engine or self._engine.info.name, consent=consent, **fields)


def _from_consent(consent: tts_pb2.VoiceConsent) -> VoiceConsent:
    summary = ConsentSummary(consent.id, consent.name.strip(), consent.language, consent.given_unix_s)
    return VoiceConsent(summary, consent.statement.strip(), consent.recording_wav)


async def _forward_text(requests: AsyncIterator[tts_pb2.SynthesizeRequest], stream: ReplyStream) -> None:
    """Pass the client's text to the stream. A half-close ends the text like `end_of_text`."""
    async for request in requests:
        match request.WhichOneof("request"):
            case "text":
                await stream.send_text(request.text.text)
            case "end_of_text":
                await stream.end_text()
            case "config":
                raise InvalidRequest("tts.config_twice", "the config must be sent only once")
            case _:
                raise InvalidRequest("tts.request_empty", "a message was empty")
    await stream.end_text()


def _from_config(config: tts_pb2.SynthesisConfig) -> tuple[str, str, Style]:
    traits: dict[str, float] = {field.name: value for field, value in config.style.ListFields()}
    return config.voice, config.language, Style(**traits)


def _to_response(event: SpeechEvent) -> tts_pb2.SynthesizeResponse:
    match event:
        case SpeechAudio():
            return tts_pb2.SynthesizeResponse(audio=tts_pb2.SpeechAudio(offset_ms=event.offset_ms, pcm=event.pcm))
        case SpeechMark():
            mark = tts_pb2.SpeechMark(text_start=event.text_start, text_end=event.text_end, offset_ms=event.offset_ms)
            return tts_pb2.SynthesizeResponse(speech_mark=mark)
        case PhraseStarted():
            phrase = tts_pb2.PhraseStarted(text_start=event.text_start, text_end=event.text_end)
            return tts_pb2.SynthesizeResponse(phrase_started=phrase)
