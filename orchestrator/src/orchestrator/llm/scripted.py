"""The scripted language model: known replies at a known pace, and every way to break. For tests and measurements."""

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

# A word with the space before it, or one mark of punctuation.
_TOKEN = re.compile(r"\s*(?:\w+(?:['’-]\w+)*|[^\w\s])|\s+")
_GARBAGE = "\x00\ufffd<|unk|>{{]]\x1b[0m"


class LlmSection(ScriptSection):
    """Section `[llm]` of a script."""

    # The n-th turn of a conversation gets the n-th, and after the last the first again.
    replies: tuple[str, ...] = Field(default=("Good evening, and welcome. This is a scripted reply.",), min_length=1)
    first_token_delay_ms: float = Field(default=150, ge=0)
    tokens_per_second: float = Field(default=50, gt=0)
    # How much of the reply comes before the fault.
    fault_after_tokens: int = Field(default=0, ge=0)
    # Whether all replies from `fault_at` on break, not only that one.
    fault_lasts: bool = False

    def fault_of(self, number: int) -> Fault | None:
        """The fault of the `number`-th request, counted from 1 over all conversations."""
        if self.fault_lasts and number > self.fault_at:
            return self.fault
        return super().fault_of(number)

    def reply_to(self, turn: int) -> str:
        """The reply to the `turn`-th contribution of the user, counted from 0."""
        return self.replies[turn % len(self.replies)]


class ScriptSettings(BaseSettings):
    """Where the script is."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))


class ScriptedModel:
    """Plays section `[llm]` of a script. Shared by all sessions."""

    def __init__(self, section: LlmSection) -> None:
        self._section = section
        self._requests = 0

    @classmethod
    def from_environment(cls) -> Self:
        """The model that plays the environment's script."""
        return cls(load_section(ScriptSettings().script, "llm", LlmSection))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to close."""

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def model(self) -> str:
        return ""

    def describe(self) -> Mapping[str, object]:
        """Nothing: there are no weights."""
        return {}

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """The script's reply to this turn. Raises `EngineFailed` where the script says so."""
        started_s = asyncio.get_running_loop().time()
        self._requests += 1
        fault = self._section.fault_of(self._requests)
        turn = sum(message.role == "user" for message in prompt.history)
        pieces = break_pieces(tokens(self._section.reply_to(turn)), fault, self._section.fault_after_tokens)
        for index, piece in enumerate(pieces):
            await sleep_until(token_due_s(self._section, started_s, index))
            if piece is None:
                await raise_fault(fault)
            else:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Nothing: a script is read already."""

    async def probe(self) -> None:
        """Nothing: only asking for a reply tells what the script says of it."""


def tokens(text: str) -> list[str]:
    """`text` in tokens: words with the space before them, and marks of punctuation by themselves."""
    return _TOKEN.findall(text)


def break_pieces(pieces: list[str], fault: Fault | None, after: int) -> Iterable[str | None]:
    """What is left of a reply that breaks after so many tokens; None marks the moment to `fall`."""
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


async def raise_fault(fault: Fault | None) -> None:
    """Break in the way of `fault`: never return, end the process, or raise `EngineFailed`."""
    match fault:
        case Fault.HANG:
            await asyncio.Event().wait()
        case Fault.DIE:
            os._exit(1)
        case _:
            raise EngineFailed("llm.engine_failed", "the script says that this reply fails")


def token_due_s(section: LlmSection, started_s: float, index: int) -> float:
    """When the `index`-th token is due, on the loop's clock; from the request on, so that lateness does not add up."""
    return started_s + section.first_token_delay_ms / 1000 + index / section.tokens_per_second


async def sleep_until(due_s: float) -> None:
    """Sleep until the loop's clock says `due_s`; do not even yield when that has passed."""
    if (left_s := due_s - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(left_s)
