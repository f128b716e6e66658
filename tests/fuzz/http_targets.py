r"""The HTTP APIs and the simple WebSocket, in memory behind the real access checks, with sessions that answer at once.

A case of HTTP is a request: `METHOD TARGET`, header lines, an empty line, the body.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import quote, unquote

from api_support import FakeConversation, FakePreferences, FakeSessions
from choices import Choices
from fake_stt import STATEMENT, FakeStt
from fastapi import FastAPI
from frames import BinaryFrame, Frame, TextFrame, to_case, to_frames
from mutations import TEXTS, change_fields, json_value, mutate, mutated_seed, text_of, to_json
from oracle import Violation, check_error, nothing_logged_as_error
from orchestrator.api.access import AccessPolicy, guard
from orchestrator.api.audio import uploads as uploads_module
from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.http import openai_speech, openai_transcriptions, simple_websocket, voice_consents, voices
from orchestrator.api.limits import ApiLimits
from orchestrator.api.routes import add_routes
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.messages.server import Style, VoiceChoice
from orchestrator.conversation.model.ports import Speech, SpeechAudio
from orchestrator.conversation.model.voice_store import StoredVoice, VoiceConsent, VoiceListing
from orchestrator.conversation.session.registry import SessionRegistry
from service_kit.errors import InvalidRequest, NotFound
from service_targets import damaged_wav
from session_targets import ScriptedRegistry
from target import Check, FuzzTarget, running_loop

LIMITS = ApiLimits(max_upload_bytes=600_000, voice_addition_burst=1e9)
HOST = "127.0.0.1"
# What a client may get; 500 is a bug.
STATUSES = frozenset({200, 201, 204, 307, 400, 401, 403, 404, 405, 413, 415, 422, 429, 501, 503})
BOUNDARY = "b0undary"


class _Tts:
    """Speaks 100 ms, whatever the text."""

    @asynccontextmanager
    async def open(self, voice: str, language: str, style: Style) -> AsyncGenerator[_Tts]:
        yield self

    async def send_text(self, text: str) -> None: ...

    async def end_text(self) -> None: ...

    async def speech(self) -> AsyncGenerator[Speech]:
        yield SpeechAudio(0, bytes(4_800))


class _Voices:
    """Learns every voice, and forgets it."""

    async def list_voices(self) -> VoiceListing:
        return VoiceListing((StoredVoice(VoiceChoice("tone", "A tone", ("en",), "fuzz")),), ("en", "de"))

    async def add_voice(
        self, name: str, reference_wav: bytes, transcript: str, language: str, consent: VoiceConsent
    ) -> StoredVoice:
        return StoredVoice(VoiceChoice(f"fuzz:{name}", name, (language,), "fuzz", cloned=True), consent, 1)

    async def delete_voice(self, voice_id: str) -> None:
        raise NotFound("tts.unknown_voice", f"no cloned voice {voice_id!r}")


class _Sessions(FakeSessions):
    """Conversations that the real registry makes, finds and ends; their sessions answer at once."""

    registry: SessionRegistry

    def start_conversation(self, start: SessionStart) -> FakeConversation:
        made = self.registry.start_conversation(start)
        chosen = made.preferences
        names = (chosen.language, chosen.voice, chosen.persona, chosen.patience)
        self.conversations[made.ticket] = FakeConversation(made.ticket, FakePreferences(*names))
        return self.conversations[made.ticket]

    async def find_conversation(self, ticket: str) -> FakeConversation:
        return self.conversation((await self.registry.find_conversation(ticket)).ticket)

    async def end_conversation(self, ticket: str) -> None:
        await self.registry.end_conversation(ticket)


class _CurrentSessions:
    """Stands for the sessions of the current case: the app, which is slow to build, serves all cases."""

    def __init__(self) -> None:
        self.sessions = _Sessions()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sessions, name)


async def _refuse_decoding(*_: object, **__: object) -> bytes:
    """In place of the decoder process, which is a target of its own."""
    raise InvalidRequest("session.undecodable", "the recording cannot be decoded within the limits")


def _new_app(sessions: Any) -> FastAPI:
    app = FastAPI()
    uploads: Uploads = add_routes(app, sessions, LIMITS)
    stt, store, tts = FakeStt(language="en"), _Voices(), _Tts()
    consents = voice_consents.Consents(stt, uploads, LIMITS)
    adding = voices.VoiceAdding(store, consents, stt, uploads, LIMITS)
    app.include_router(voices.routes(adding, store, uploads, LIMITS))
    app.include_router(voice_consents.routes(consents, store, uploads, LIMITS))
    app.include_router(openai_speech.routes(tts, uploads, LIMITS))
    app.include_router(openai_transcriptions.routes(stt, uploads, LIMITS))
    guard(app, AccessPolicy(origins=("https://studio.example",)))
    return app


@contextmanager
def _serving() -> Generator[Any]:
    """Yield a function that serves one case: it takes what `serve(app)` returns, a coroutine."""
    registry, current = ScriptedRegistry(), _CurrentSessions()
    app = _new_app(current)

    async def serve_case(serve: Any) -> None:
        current.sessions = _Sessions()
        async with registry.open() as current.sessions.registry:
            await serve(app)

    decoding = mock.patch.object(uploads_module, "decode_in_subprocess", _refuse_decoding)
    with decoding, running_loop() as run_on_loop:

        def run(serve: Any) -> None:
            with nothing_logged_as_error():
                run_on_loop(serve_case(serve))

        yield run


# ---------------------------------------------------------------------------------------------------------------
# HTTP


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as a client sends it; `target` is percent-encoded."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def to_case(self) -> bytes:
        head = [f"{self.method} {self.target}", *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\n".join(head).encode("latin-1", "replace") + self.body

    @classmethod
    def of_case(cls, case: bytes) -> HttpRequest:
        head, _, body = case.partition(b"\n\n")
        first, *lines = head.decode("latin-1").split("\n")
        method, _, target = first.partition(" ")
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon and name.strip())
        return cls(method or "GET", target or "/", headers, body)


JSON_BODIES: Mapping[str, dict[str, Any]] = {
    "/interact": {"text": "hello there.", "language": "en", "voice": "", "persona": "anchor", "person_id": "ada"},
    "/conversation/start": {"language": "de", "voice_profile": "tone", "persona": "anchor", "patience": 1.2},
    "/v1/audio/speech": {"input": "hello there.", "voice": {"id": "tone"}, "language": "en", "speed": 1.0},
}
FORMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "/interact": (("language", "en"), ("voice", ""), ("format", "wav"), ("text", "hello there.")),
    "/v1/audio/transcriptions": (("model", "whisper-1"), ("response_format", "verbose_json"), ("language", "en")),
    "/v1/audio/voices": (("name", "Ana"), ("consent", STATEMENT), ("transcript", "hello"), ("language", "en")),
    "/v1/audio/voice_consents": (("name", "Ana"), ("language", "en")),
}
FILE_FIELDS = ("file", "audio_sample", "recording", "consent", "text", "")
READ_TARGETS = (
    *("/conversation/{}", "/v1/audio/voices/{}", "/v1/audio/voice_consents/{}", "/stored?person_id={}"),
    *("/stored?ticket={}&session_id={}", "/v1/audio/voice_consents?limit={}&after={}", "/{}", "/interact?token={}"),
)
HEADERS = ("host", "origin", "authorization", "x-forwarded-for", "accept", "content-type", "range", "cookie")
HEADER_VALUES = (
    *("127.0.0.1:8080", "http://127.0.0.1:8080", "https://studio.example", "http://[", "http://[::1", "null", "*/*"),
    *("Bearer ", "Bearer \xff\xfe", "bearer a b", "application/json", "10.0.0.1, ::1", "[::1]:8080", "evil.example"),
    *(
        "application/json; charset=utf-16",
        f"multipart/form-data; boundary={BOUNDARY}",
        "multipart/form-data",
        "a" * 300,
    ),
)


def generate_http(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a request with a JSON body, or one that reads or deletes."""
    if choices.chance(5):
        return mutated_seed(choices, seeds)
    headers = _headers(choices)
    if choices.chance(2):
        path = choices.one_of(tuple(JSON_BODIES))
        body = to_json(choices, change_fields(choices, JSON_BODIES[path]) if choices.below(4) else json_value(choices))
        content = (("content-type", "application/json"),)
        return HttpRequest("POST", path, (*headers, *content), body.encode("utf-8", "replace")).to_case()
    target = choices.one_of(READ_TARGETS)
    while "{}" in target:
        target = target.replace("{}", quote(text_of(choices), safe=choices.one_of(("", "/", "%"))), 1)
    return HttpRequest(
        choices.one_of(("GET", "DELETE", "POST", "HEAD", "OPTIONS", "PUT")), target, headers, b""
    ).to_case()


def _headers(choices: Choices) -> tuple[tuple[str, str], ...]:
    names = [choices.one_of(HEADERS) for _ in range(choices.below(3))]
    # Line breaks and zeros in a header are refused by the HTTP parser before.
    return tuple(
        (
            name,
            choices.one_of(HEADER_VALUES)
            if choices.below(3)
            else "".join(each for each in text_of(choices) if each not in "\r\n\0").encode("utf-8").decode("latin-1"),
        )
        for name in names
    )


def generate_multipart(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a form with recordings."""
    if choices.chance(5):
        return mutated_seed(choices, seeds)
    path = choices.one_of(tuple(FORMS))
    parts = [_part(choices, name, value) for name, value in FORMS[path] if choices.below(4)]
    for _ in range(choices.below(3)):
        parts.insert(choices.below(len(parts) + 1), _file(choices))
    body = b"".join(parts) + b"--" + BOUNDARY.encode() + choices.one_of((b"--\r\n", b"--", b"", b"\r\n"))
    if choices.chance(4):
        body = mutate(choices, body)
    boundary = choices.one_of((BOUNDARY,) * 8 + ('"' + BOUNDARY + '"', "", "\xff", "x" * 300))
    content = choices.one_of(("multipart/form-data",) * 8 + ("multipart/mixed", "application/x-www-form-urlencoded"))
    headers = (("content-type", f"{content}; boundary={boundary}"),)
    return HttpRequest("POST", path, headers, body).to_case()


def _part(choices: Choices, name: str, value: str) -> bytes:
    if choices.chance(6):
        name = text_of(choices)[:80].replace('"', "")
    if choices.chance(4):
        value = text_of(choices)
    extra = choices.one_of(("",) * 6 + ("Content-Type: text/plain; charset=x\r\n", "Content-Length: -1\r\n"))
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n{extra}\r\n'
    return head.encode("utf-8", "replace") + value.encode("utf-8", "replace") + b"\r\n"


def _file(choices: Choices) -> bytes:
    name, file_name = choices.one_of(FILE_FIELDS), choices.one_of(("a.wav", "", "../../a", *TEXTS)).replace('"', "")
    disposition = choices.one_of((f'form-data; name="{name}"; filename="{file_name}"',) * 6 + (f'name="{name}"', ""))
    content = damaged_wav(choices) if choices.below(4) else choices.raw(choices.below(200))
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: audio/wav\r\n\r\n"
    return head.encode("utf-8", "replace") + content + b"\r\n"


@contextmanager
def checking_http() -> Generator[Check]:
    """Check the status and the error of the response; an exception that leaves the app is a bug."""
    with _serving() as run:

        def check(case: bytes) -> None:
            request = HttpRequest.of_case(case)
            status, body = 0, bytearray()

            async def send(event: Any) -> None:
                nonlocal status
                if event["type"] == "http.response.start":
                    status = event["status"]
                body.extend(event.get("body", b""))

            async def serve(app: FastAPI) -> None:
                await app(_scope(request), _receiver(request.body), send)

            run(serve)
            _check_response(request, status, bytes(body))

        yield check


def _scope(request: HttpRequest) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    headers = list(request.headers)
    if "host" not in dict(headers):
        headers.append(("host", HOST))
    if request.body:
        headers.append(("content-length", str(len(request.body))))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path) or "/",
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "headers": [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers],
        "client": ("127.0.0.1", 5),
        "server": (HOST, 8080),
    }


def _receiver(body: bytes) -> Any:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        # The client stays until it has the response.
        await asyncio.Event().wait()
        raise AssertionError

    return receive


def _check_response(request: HttpRequest, status: int, body: bytes) -> None:
    if status not in STATUSES:
        raise Violation(f"{request.method} {request.target[:80]!r} was answered with {status}: {body[:200]!r}")
    if status >= 400 and body and request.method != "HEAD":
        try:
            error = json.loads(body)["error"]
        except (ValueError, KeyError, TypeError) as broken:
            # Preflight requests of foreign pages are answered by the CORS middleware, for browsers.
            if request.method == "OPTIONS" and status == 400:
                return
            raise Violation(f"status {status} has no error: {body[:200]!r}") from broken
        check_error(error["code"], error["message"])


# ---------------------------------------------------------------------------------------------------------------
# The simple WebSocket


START = {"type": "start", "format": "pcm16", "sample_rate_hz": 16_000, "language": "en"}
END = {"type": "end_stream"}


def generate_recordings(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return frames of one client of `/ws`."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    return to_case(_recording_frames(choices))


def _recording_frames(choices: Choices) -> Iterator[Frame]:
    for _ in range(1 + choices.below(8)):
        match choices.below(7):
            case 0:
                yield TextFrame(json.dumps(END))
            case 1:
                yield TextFrame(json.dumps(START))
            case 2:
                yield TextFrame(to_json(choices, change_fields(choices, choices.one_of((START, END)))))
            case 3:
                yield TextFrame(to_json(choices, json_value(choices)))
            case 4:
                yield BinaryFrame(damaged_wav(choices))
            case 5:
                yield BinaryFrame(choices.raw(choices.below(100)))
            case _:
                yield BinaryFrame(bytes(3_200))


@contextmanager
def checking_recordings() -> Generator[Check]:
    """Check that a recording is answered or refused, and that the next one is answered unless the socket closed."""
    with _serving() as run:

        def check(case: bytes) -> None:
            served: list[_RecordingClient] = []

            async def serve(app: FastAPI) -> None:
                client = _RecordingClient(case)
                served.append(client)
                scope = {**_scope(HttpRequest("GET", simple_websocket.PATH, (), b"")), "type": "websocket"}
                await app(scope, client.receive, client.send)

            run(serve)
            (client,) = served
            if not client.closed and not client.answered:
                raise Violation("the next well-formed recording was not answered")

        yield check


class _RecordingClient:
    """Sends the frames of a case, and then a well-formed recording when nothing is being answered any more."""

    def __init__(self, case: bytes) -> None:
        # The end of a recording that the case left open; otherwise it is refused.
        self._frames = deque([*to_frames(case), TextFrame(json.dumps(END))])
        self._recording = deque([TextFrame(json.dumps(START)), BinaryFrame(bytes(3_200)), TextFrame(json.dumps(END))])
        self._connected = False
        # The task that serves the socket; while an answer is made, another one reads.
        self._server = asyncio.current_task()
        self.answered = self.closed = False

    async def receive(self) -> dict[str, Any]:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self._frames:
            return _event(self._frames.popleft())
        async with asyncio.timeout(20):
            if asyncio.current_task() is not self._server:
                # Cancelled when the answer is there.
                while not self.answered:
                    await asyncio.sleep(0.001)
            elif self._recording:
                return _event(self._recording.popleft())
        return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    async def send(self, event: Any) -> None:
        if event["type"] == "websocket.close":
            self.closed = True
            if event["code"] not in (1000, 1008, 1013):
                raise Violation(f"closed with {event['code']} {event.get('reason')}")
        if (text := event.get("text")) is not None:
            message = json.loads(text)
            if message["type"] == "error":
                check_error(message["code"], message["message"])
            self.answered = message["type"] == "audio_complete" and not self._recording


def _event(frame: Frame) -> dict[str, Any]:
    match frame:
        case TextFrame(text):
            return {"type": "websocket.receive", "text": text}
        case BinaryFrame(data):
            return {"type": "websocket.receive", "bytes": data}


TARGETS = (
    FuzzTarget("http", generate_http, checking_http),
    FuzzTarget("multipart", generate_multipart, checking_http),
    FuzzTarget("simple-websocket", generate_recordings, checking_recordings),
)
