"""A session with automatic language over gRPC: speech-to-text detects, the prompt gets the language."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from anchor.session.v1 import session_pb2, session_pb2_grpc
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from orchestrator.api.limits import ApiLimits
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming.grpc import SERVICE_NAME, SessionServicer, add_to
from orchestrator.clients.stt import SttClient
from orchestrator.conversation.messages.server import SystemStatus
from orchestrator.conversation.model.degradation import DegradedMode
from orchestrator.conversation.model.ports import Persona
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.turn import TurnRules
from service_kit.testing.plugin import serve_grpc

DETECTED = [("wie wird das Wetter morgen", "de", 0.93), ("qué tiempo hará mañana", "es", 0.85)]
PHRASES = {language: {"apology": "…"} for language in ("en", "de", "es")}


class DetectingStt(stt_pb2_grpc.SpeechToTextServiceServicer):
    """A speech-to-text service that detects the language of each segment."""

    def __init__(self) -> None:
        self.configured: list[str] = []

    async def Transcribe(self, requests, context):
        async for request in requests:
            if request.HasField("config"):
                self.configured.append(request.config.language)
            if request.HasField("flush"):
                text, language, probability = DETECTED[request.flush.segment_id - 1]
                final = stt_pb2.FinalTranscript(
                    segment_id=request.flush.segment_id,
                    revision=1,
                    text=text,
                    language=language,
                    language_source=stt_pb2.LANGUAGE_SOURCE_ENGINE,
                    language_probability=probability,
                )
                await context.write(stt_pb2.TranscribeResponse(final_transcript=final))


class RecordingLlm:
    """Answers with the language that the prompt asks for."""

    name = "recording"

    async def reply(self, prompt):
        yield prompt.language

    async def prefill(self, prompt):
        return None


class NoVad:
    """The client ends its turns."""

    @asynccontextmanager
    async def open(self, language):
        raise AssertionError("manual turn detection needs no voice activity")
        yield


async def status() -> SystemStatus:
    return SystemStatus(())


def registry(channel, default: str) -> SessionRegistry:
    services = Services(
        voice_activity=NoVad(),
        speech_to_text=SttClient(channel),
        language_model=RecordingLlm,
        text_to_speech=None,
        personas={"anchor": Persona("anchor", "Anna", "You are Anna.", phrases=PHRASES)},
        system_status=status,
        # Replies are captions.
        degraded_mode=lambda: DegradedMode(text_only=True),
    )
    return SessionRegistry(services=services, rules=TurnRules(), capacity=1, language=default, persona="anchor")


async def ask(call) -> tuple[session_pb2.FinalTranscript, str]:
    """Send a second of audio and end the turn; return its transcript and the reply's text."""
    audio = session_pb2.MicrophoneAudio(pcm=b"\x00\x20" * 16_000)
    await call.write(session_pb2.ConverseRequest(message=session_pb2.ClientMessage(microphone_audio=audio)))
    end = session_pb2.ClientMessage(end_turn=session_pb2.EndTurn())
    await call.write(session_pb2.ConverseRequest(message=end))
    final, text = None, ""
    while True:
        message = (await call.read()).message
        match message.WhichOneof("message"):
            case "final_transcript":
                final = message.final_transcript
            case "reply_text":
                text += message.reply_text.text
            case "reply_finished":
                return final, text
            case _:
                continue


@pytest.mark.parametrize(("default", "chosen"), [("en", "auto"), ("auto", "")])
async def test_session_answers_in_the_detected_language(default, chosen):
    stt = DetectingStt()
    async with serve_grpc(
        "anchor.stt.v1.SpeechToTextService",
        lambda server: stt_pb2_grpc.add_SpeechToTextServiceServicer_to_server(stt, server),
    ) as stt_channel:
        sessions = registry(stt_channel, default)
        async with (
            sessions,
            serve_grpc(
                SERVICE_NAME, lambda server: add_to(server, SessionServicer(sessions, ApiLimits(), SecretCheck(None)))
            ) as channel,
            asyncio.timeout(30),
        ):
            call = session_pb2_grpc.SessionServiceStub(channel).Converse()
            start = session_pb2.SessionStart(
                language=chosen, turn_detection=session_pb2.TURN_DETECTION_MANUAL, sample_rate_hz=16_000
            )
            await call.write(session_pb2.ConverseRequest(message=session_pb2.ClientMessage(session_start=start)))
            started = (await call.read()).message.session_started
            for text, language, probability in DETECTED:
                final, answer = await ask(call)
                assert (final.text, final.language, answer) == (text, language, language)
                assert final.language_probability == pytest.approx(probability)
            await call.done_writing()
    assert started.language == "auto"
    assert stt.configured == [""]
