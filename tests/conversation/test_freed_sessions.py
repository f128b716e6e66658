"""An ended session gives its memory back at once: reference counting frees it, without the garbage collector.

The collector of a service runs seldom (`service_kit.service`), so that what waits for it adds up under load.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.one_shot import ask_question
from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.input.speech_input import SpeechInput
from orchestrator.conversation.messages.client import Command, Interrupt, SessionStart, TextInput
from orchestrator.conversation.messages.server import ReplyAudio, ReplyFinished, ServerMessage
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.ports import ConnectionDropped
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.output.active_reply import ActiveReply
from orchestrator.conversation.output.reply import Reply
from orchestrator.conversation.session.client_connection import ClientConnection
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.session.session import Session
from orchestrator.conversation.turns.turn import TurnRules
from scripted_services import ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad, UserSpeech
from service_kit.errors import InvalidRequest
from stage import LOUD_FRAME, PERSONA, SILENT_FRAME, WAITS

pytestmark = pytest.mark.virtual_clock

# All of a session that holds audio, text or tasks.
KINDS = (Session, ClientConnection, Connection, Outbox, SpeechInput, ActiveReply, Reply, asyncio.Task, BaseException)


class Caller:
    """Sends frames of a microphone and what a test says, and notices the stages of the reply."""

    def __init__(self) -> None:
        self.seen: Counter[type] = Counter()
        self.changed = asyncio.Event()

    async def send(self, message: ServerMessage) -> None:
        self.seen[type(message)] += 1
        self.changed.set()

    async def send_audio(self, pcm: bytes) -> None: ...

    async def until(self, kind: type) -> None:
        async with asyncio.timeout(60):
            while not self.seen[kind]:
                self.changed.clear()
                await self.changed.wait()


Script = Callable[[Caller], AsyncIterator[bytes | Command]]


async def asks_and_leaves(caller: Caller) -> AsyncIterator[bytes | Command]:
    for frame in (LOUD_FRAME, SILENT_FRAME) * 20:
        yield frame
        await asyncio.sleep(0.02)
    yield TextInput("what is new")
    await caller.until(ReplyFinished)


async def leaves_in_mid_reply(caller: Caller) -> AsyncIterator[bytes | Command]:
    yield TextInput("what is new")
    await caller.until(ReplyAudio)


async def interrupts(caller: Caller) -> AsyncIterator[bytes | Command]:
    yield TextInput("what is new")
    await caller.until(ReplyAudio)
    yield Interrupt()
    await caller.until(ReplyFinished)


async def loses_its_line(caller: Caller) -> AsyncIterator[bytes | Command]:
    yield TextInput("what is new")
    await caller.until(ReplyAudio)
    raise ConnectionDropped


async def sends_nonsense(caller: Caller) -> AsyncIterator[bytes | Command]:
    yield TextInput("what is new")
    await caller.until(ReplyAudio)
    raise InvalidRequest("session.too_many_bad_messages", "the last of 20")


@pytest.fixture
async def registry() -> AsyncIterator[SessionRegistry]:
    llm = ScriptedLlm()
    llm.replies = ["Once upon a time there was a king who had three daughters."]

    async def status() -> SystemStatus:
        return SystemStatus(())

    services = Services(
        voice_activity=ScriptedVad(),
        speech_to_text=ScriptedStt(UserSpeech()),
        language_model=lambda: llm,
        text_to_speech=ScriptedTts(),
        personas={"anchor": PERSONA},
        system_status=status,
    )
    async with SessionRegistry(
        services=services, rules=TurnRules(WAITS), language="en", persona="anchor", capacity=8, resume_s=1.0
    ) as registry:
        yield registry


@pytest.fixture
def uncollected() -> Iterator[Callable[[], Awaitable[Counter[str]]]]:
    """Switch the collector off; call the fixture for the objects of `KINDS` that were not there before, by type."""
    gc.collect()
    before = {id(each) for each in gc.get_objects() if issubclass(type(each), KINDS)}
    gc.disable()

    async def left() -> Counter[str]:
        # What ends with a session runs its last callbacks in the next turns of the loop.
        for _ in range(5):
            await asyncio.sleep(0)
        found = [each for each in gc.get_objects() if issubclass(type(each), KINDS) and id(each) not in before]
        current = asyncio.current_task()
        return Counter(type(each).__name__ for each in found if each is not current)

    yield left
    gc.enable()


async def _talk(registry: SessionRegistry, script: Script) -> None:
    caller = Caller()
    try:
        async with registry.open(SessionStart(), caller, resumable=True) as session:
            await session.run(script(caller))
    except InvalidRequest:
        return


@pytest.mark.parametrize("script", [asks_and_leaves, leaves_in_mid_reply, interrupts, loses_its_line, sends_nonsense])
async def test_an_ended_session_is_freed_without_the_collector(registry, uncollected, script: Script) -> None:
    await _talk(registry, script)
    # A lost line is waited for.
    await asyncio.sleep(5)
    assert await uncollected() == Counter()


async def test_a_one_shot_question_is_freed_without_the_collector(registry, uncollected) -> None:
    answer = await ask_question(registry, SessionStart(), "what is new", ApiLimits())
    assert answer.reply.startswith("Once upon a time")
    await asyncio.sleep(1)
    assert await uncollected() == Counter()
