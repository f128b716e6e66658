"""The scripted language model, for tests and measurements: fixed replies, fixed timing, and injected faults."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_kit.engines.script import Fault, ScriptSection, load_section
from service_kit.errors import EngineFailed
from service_kit.settings import shared

from orchestrator.conversation.model.ports import Prompt

# A word with the space before it, or one punctuation mark.
_TOKEN = re.compile(r"\s*(?:\w+(?:['’-]\w+)*|[^\w\s])|\s+")
_GARBAGE = "\x00\ufffd<|unk|>{{]]\x1b[0m"


class LlmSection(ScriptSection):
    """Section `[llm]` of a script."""

    # The n-th turn of a conversation gets the n-th reply; after the last, the first again.
    replies: tuple[str, ...] = Field(default=("Good evening, and welcome. This is a scripted reply.",), min_length=1)
    first_token_delay_ms: float = Field(default=150, ge=0)
    tokens_per_second: float = Field(default=50, gt=0)
    # Number of tokens before the fault.
    fault_after_tokens: int = Field(default=0, ge=0)
    # Whether all replies from `fault_at` on fail, not only that one.
    fault_lasts: bool = False

    def fault_of(self, number: int) -> Fault | None:
        """Return the fault of the `number`-th request, counted from 1 over all conversations."""
        if self.fault_lasts and number > self.fault_at:
            return self.fault
        return super().fault_of(number)

    def reply_to(self, turn: int) -> str:
        """Return the reply to the `turn`-th message of the user, counted from 0."""
        return self.replies[turn % len(self.replies)]


class ScriptSettings(BaseSettings):
    """The location of the script."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))


class ScriptedModel:
    """Plays section `[llm]` of a script. Shared by all sessions."""

    def __init__(self, section: LlmSection) -> None:
        self._section = section
        self._requests = 0

    @classmethod
    def from_environment(cls) -> Self:
        """Create the model from the script that the environment names."""
        return cls(load_section(ScriptSettings().script, "llm", LlmSection))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing: there are no connections."""

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def model(self) -> str:
        return ""

    def describe(self) -> Mapping[str, object]:
        """Return no details."""
        return {}

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the script's reply to this turn. Raises `EngineFailed` where the script says so."""
        started_s = asyncio.get_running_loop().time()
        self._requests += 1
        fault = self._section.fault_of(self._requests)
        turn = sum(message.role == "user" for message in prompt.history)
        pieces = apply_fault(tokenize(self._section.reply_to(turn)), fault, self._section.fault_after_tokens)
        for index, piece in enumerate(pieces):
            await sleep_until(token_due_s(self._section, started_s, index))
            if piece is None:
                await trigger_fault(fault)
            else:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Do nothing: a script needs no prefill."""

    async def probe(self) -> None:
        """Do nothing: scripted faults only affect replies."""


def tokenize(text: str) -> list[str]:
    """Split `text` into tokens: words with the space before them, and single punctuation marks."""
    return _TOKEN.findall(text)


def apply_fault(pieces: list[str], fault: Fault | None, after: int) -> Iterable[str | None]:
    """Return the pieces of a reply with a fault `after` that many; None marks the call of `trigger_fault`."""
    match fault:
        case None:
            return pieces
        case Fault.GARBAGE:
            return (*pieces[:after], _GARBAGE)
        case Fault.EMPTY:
            return pieces[:after]
        case Fault.ENDLESS:
            return itertools.cycle((*pieces, " "))
        case Fault.HANG | Fault.DIE | Fault.ERROR:
            return (*pieces[:after], None)


async def trigger_fault(fault: Fault | None) -> None:
    """Fail in the way of `fault`: never return, end the process, or raise `EngineFailed`."""
    match fault:
        case Fault.HANG:
            await asyncio.Event().wait()
        case Fault.DIE:
            os._exit(1)
        case _:
            raise EngineFailed("llm.engine_failed", "the script makes this reply fail")


def token_due_s(section: LlmSection, started_s: float, index: int) -> float:
    """Return when the `index`-th token is due on the loop's clock; relative to the request, so delays do not add up."""
    return started_s + section.first_token_delay_ms / 1000 + index / section.tokens_per_second


async def sleep_until(due_s: float) -> None:
    """Sleep until `due_s` on the loop's clock; does not yield to the loop when that has passed."""
    if (left_s := due_s - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(left_s)
