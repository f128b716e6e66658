"""The session protocol: JSON text frames, the WebSocket and gRPC, with real sessions on scripted services.

The sessions run on the virtual clock, so that a case of an hour of silence takes milliseconds.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from anchor.session.v1 import session_pb2
from choices import Choices
from client_codec import client_to_json
from frames import BinaryFrame, Frame, TextFrame, to_case, to_frames
from grpc import aio
from mutations import change_fields, fill_message, json_value, mutate, mutated_seed, to_json
from oracle import Violation, check_error, nothing_logged_as_error, stated_errors
from orchestrator.api.limits import ApiLimits
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming.captions import watch_key_in
from orchestrator.api.streaming.grpc import SessionServicer
from orchestrator.api.streaming.websocket import PATH, serve_websocket
from orchestrator.api.wire.codec import client_from_json
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.session.watch_keys import is_watch_key
from orchestrator.conversation.turns.turn import TurnRules
from scripted_services import ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad, UserSpeech
from service_kit.errors import InvalidRequest
from service_kit.testing.virtual_clock import VirtualLoop
from stage import PERSONA, WAITS
from starlette.websockets import WebSocket
from target import Check, FuzzTarget, running_loop

LIMITS = ApiLimits()
MAX_TEXT_CHARS = LIMITS.max_text_chars
WATCH: dict[str, Any] = {"type": "watch", "key": "watch_abc"}
# Well-formed messages of a client, which the generators change.
MESSAGES: tuple[dict[str, Any], ...] = (
    {"type": "session_start", "language": "en", "reports_playback": True, "sample_rate_hz": 16_000},
    {"type": "session_start", "turn_detection": "TURN_DETECTION_MANUAL", "person_id": "ada", "word_times": True},
    {"type": "session_start", "received": {"turn_id": 1, "offset_ms": 400}, "played": {"turn_id": 1, "played_ms": 3}},
    {"type": "text_input", "text": "hello there."},
    {"type": "end_turn"},
    {"type": "interrupt"},
    {"type": "pause"},
    {"type": "resume"},
    {"type": "set_persona", "persona": "anchor"},
    {"type": "set_voice", "voice": "tone"},
    {"type": "set_language", "language": "de"},
    {"type": "set_style", "pace": 1.2, "warmth": 0.3},
    {"type": "set_patience", "patience": 1.5},
    {"type": "set_barge_in", "stop_ms": 300, "min_words": 2},
    {"type": "ping", "ping_id": 7},
    {"type": "set_speech_activity", "enabled": True},
    {"type": "playback_progress", "turn_id": 1, "played_ms": 120},
    {"type": "request_status"},
    {"type": "text_input", "text": "the ferry, not the cake.", "replaces_turn_id": 1},
    {"type": "speak_again", "turn_id": 1, "from_cut": True},
)
AUDIO = (bytes(640), b"\x00\x20" * 320, b"\xff\x7f" * 3_200, bytes(32_000), b"", b"\0", bytes(70_000))
# Whatever the state: an interrupted reply, a paused one, and then a question.
RECOVERY = tuple(json.dumps({"type": name}) for name in ("interrupt", "resume"))
QUESTION_TEXT = "are you there"
QUESTION = json.dumps({"type": "text_input", "text": QUESTION_TEXT})
ANSWER_WITHIN_S = 120.0


# ---------------------------------------------------------------------------------------------------------------
# JSON


def generate_json(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a text frame."""
    match choices.below(4):
        case 0:
            return mutated_seed(choices, seeds)
        case 1:
            return to_json(choices, json_value(choices)).encode("utf-8", "replace")
        case _:
            return _changed_message(choices).encode("utf-8", "replace")


def _changed_message(choices: Choices) -> str:
    return to_json(choices, change_fields(choices, choices.one_of(MESSAGES)))


@contextmanager
def checking_json() -> Generator[Check]:
    """Check that a frame is refused with a clean reason, or is a message that reads the same when written again."""

    def check(case: bytes) -> None:
        with stated_errors(InvalidRequest):
            message = client_from_json(case.decode("utf-8", "replace"), MAX_TEXT_CHARS)
            again = client_from_json(client_to_json(message), MAX_TEXT_CHARS)
            assert again == message, (message, again)

    yield check


def generate_watch_frame(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return the first frame of a watcher of captions."""
    match choices.below(3):
        case 0:
            return mutated_seed(choices, seeds)
        case 1:
            return to_json(choices, json_value(choices)).encode("utf-8", "replace")
        case _:
            return to_json(choices, change_fields(choices, WATCH)).encode("utf-8", "replace")


@contextmanager
def checking_watch_frame() -> Generator[Check]:
    """Check that a frame is refused with a clean reason, or has a key that can be compared with a conversation's."""

    def check(case: bytes) -> None:
        with stated_errors(InvalidRequest):
            key = watch_key_in(case.decode("utf-8", "replace"))
            assert len(key) <= 256, key
            assert not is_watch_key(key, "ticket"), key

    yield check


# ---------------------------------------------------------------------------------------------------------------
# Sessions


def generate_frames(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return frames of one WebSocket: mostly a well-formed start, then anything."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    frames: list[Frame] = [] if choices.chance(16) else [TextFrame(json.dumps(choices.one_of(MESSAGES[:3])))]
    return to_case([*frames, *(_frame(choices) for _ in range(1 + choices.below(12)))])


def _frame(choices: Choices) -> Frame:
    match choices.below(8):
        case 0 | 1:
            return TextFrame(json.dumps(choices.one_of(MESSAGES[3:])))
        case 2:
            return TextFrame(to_json(choices, json_value(choices)))
        case 3:
            return BinaryFrame(choices.one_of(AUDIO))
        case 4:
            return BinaryFrame(choices.raw(choices.below(64)))
        case _:
            return TextFrame(_changed_message(choices))


class ScriptedRegistry:
    """Opens real sessions on scripted services that answer every turn."""

    def __init__(self) -> None:
        llm = ScriptedLlm()
        llm.replies = ["Yes, I am here."]
        self._services = Services(
            voice_activity=ScriptedVad(),
            speech_to_text=ScriptedStt(UserSpeech()),
            language_model=lambda: llm,
            text_to_speech=ScriptedTts(),
            personas={"anchor": PERSONA},
            system_status=self._status,
        )

    async def _status(self) -> SystemStatus:
        return SystemStatus(())

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[SessionRegistry]:
        """Yield a registry without conversations; its sessions end with the context."""
        async with SessionRegistry(
            services=self._services,
            rules=TurnRules(WAITS),
            language="en",
            persona="anchor",
            capacity=8,
            resume_s=1.0,
        ) as registry:
            yield registry


class _Client:
    """Sends frames, and then a well-formed question; checks what the server sends."""

    def __init__(self, frames: Iterable[Any]) -> None:
        self._frames = deque(frames)
        self._asked = False
        # Whether the turn of the question has begun; a reply that comes then is the answer.
        self._committed = False
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()

    async def next_frame(self, question: Iterable[Any]) -> Any:
        """Return the next frame of the case, then those of `question`; None once that is answered, or the session over.

        Raises `Violation` when neither happens in time.
        """
        if not self._frames and not self._asked:
            self._asked = True
            self._frames.extend(question)
        if self._frames:
            return self._frames.popleft()
        waits = [asyncio.ensure_future(event.wait()) for event in (self.answered, self.ended)]
        done, pending = await asyncio.wait(waits, timeout=ANSWER_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        if not done:
            raise Violation(f"the next well-formed question was not answered within {ANSWER_WITHIN_S:g} s")
        return None

    def on_message(self, name: str, message: Any) -> None:
        """Take a message of the server; `message` has the fields of an error."""
        if name in ("error", "session_ended", "turn_failed", "service_notice"):
            check_error(message["code"], message["message"])
        if name == "turn_committed":
            self._committed = message["text"] == QUESTION_TEXT
        if name == "reply_text" and self._committed:
            self.answered.set()
        if name == "session_ended":
            self.ended.set()


@contextmanager
def checking_websocket() -> Generator[Check]:
    """Check that a session says what was wrong, and answers the next question unless it ended with a stated reason."""
    registry = ScriptedRegistry()

    async def run(case: bytes) -> None:
        client = _Client(to_frames(case))
        first = True

        async def receive() -> dict[str, Any]:
            nonlocal first
            if first:
                first = False
                return {"type": "websocket.connect"}
            frame = await client.next_frame(TextFrame(text) for text in (*RECOVERY, QUESTION))
            match frame:
                case TextFrame(text):
                    return {"type": "websocket.receive", "text": text}
                case BinaryFrame(data):
                    return {"type": "websocket.receive", "bytes": data}
                case _:
                    return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

        async def send(event: Any) -> None:
            if (text := event.get("text")) is not None:
                message = json.loads(text)
                client.on_message(message["type"], message)
            elif event["type"] == "websocket.close":
                client.ended.set()
                if event["code"] not in (1000, 1008, 1013):
                    raise Violation(f"closed with {event['code']} {event['reason']}")

        scope = {"type": "websocket", "path": PATH, "headers": [], "query_string": b"", "extensions": {}}
        async with registry.open() as sessions:
            await serve_websocket(WebSocket(scope, receive, send), sessions, LIMITS)

    with running_loop(VirtualLoop) as run_on_loop:
        yield lambda case: _quietly(run_on_loop, run(case))


def _quietly(run_on_loop: Callable[[Any], Any], work: Any) -> None:
    with nothing_logged_as_error():
        run_on_loop(work)


# ---------------------------------------------------------------------------------------------------------------
# gRPC


def generate_calls(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return the requests of one call."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    start = session_pb2.ConverseRequest(message={"session_start": {"language": "en"}}).SerializeToString()
    frames = [] if choices.chance(16) else [BinaryFrame(start)]
    for _ in range(1 + choices.below(10)):
        request = session_pb2.ConverseRequest()
        fill_message(choices, request)
        data = request.SerializeToString()
        frames.append(BinaryFrame(mutate(choices, data) if choices.chance(6) else data))
    return to_case(frames)


class _CallContext:
    """One `Converse` call in memory, as the servicer sees it."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def cancelled(self) -> bool:
        return False

    async def read(self) -> Any:
        questions = ({"interrupt": {}}, {"resume": {}}, {"text_input": {"text": QUESTION_TEXT}})
        frame = await self._client.next_frame(
            BinaryFrame(session_pb2.ConverseRequest(message=question).SerializeToString()) for question in questions
        )
        return aio.EOF if frame is None else session_pb2.ConverseRequest.FromString(frame.data)

    async def write(self, response: Any) -> None:
        name = response.message.WhichOneof("message")
        member = getattr(response.message, name)
        fields = {field.name: getattr(member, field.name) for field in member.DESCRIPTOR.fields}
        self._client.on_message(name, fields)


@contextmanager
def checking_calls() -> Generator[Check]:
    """As `checking_websocket`, for the gRPC API."""
    registry = ScriptedRegistry()

    async def run(case: bytes) -> None:
        frames = [each for each in to_frames(case, session_pb2.ConverseRequest) if isinstance(each, BinaryFrame)]
        async with registry.open() as sessions:
            servicer = SessionServicer(sessions, LIMITS, SecretCheck(None))
            context: Any = _CallContext(_Client(frames))
            with stated_errors():
                await servicer.Converse(None, context)  # pyright: ignore[reportArgumentType]

    with running_loop(VirtualLoop) as run_on_loop:
        yield lambda case: _quietly(run_on_loop, run(case))


TARGETS = (
    FuzzTarget("session-json", generate_json, checking_json),
    FuzzTarget("session-websocket", generate_frames, checking_websocket),
    FuzzTarget("session-grpc", generate_calls, checking_calls),
    FuzzTarget("watch-frame", generate_watch_frame, checking_watch_frame),
)
