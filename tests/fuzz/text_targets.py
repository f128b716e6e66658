"""What language models send: the streams of their servers, and the text that becomes speech."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import httpx
from choices import Choices
from mutations import TEXTS, change_fields, json_value, mutated_seed, text_of, to_json
from oracle import stated_errors
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.conversation.model.services import LANGUAGES
from orchestrator.conversation.output.normalisation.normaliser import TextNormaliser
from orchestrator.llm.ollama import engine as ollama
from orchestrator.llm.openai import OpenAiModel, OpenAiSettings
from orchestrator.llm.streaming import HttpModel
from service_kit.errors import AnchorError
from service_kit.testing.virtual_clock import VirtualLoop
from target import Check, FuzzTarget, running_loop

PROMPT = Prompt(text="What is new?", language="en", persona=Persona(id="n", name="N", instructions="You are Nadia."))
URL = "http://model.invalid/v1"
OLLAMA_LINE = {"model": "m", "message": {"role": "assistant", "content": "hello there."}, "done": False}
OPENAI_EVENT = {"choices": [{"index": 0, "delta": {"content": "hello there."}, "finish_reason": None}]}


def generate_reply(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a response: a line with its status, and the body. Both kinds of servers get it."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    lines: list[str] = []
    for _ in range(1 + choices.below(5)):
        match choices.below(5):
            case 0:
                line = to_json(choices, change_fields(choices, OLLAMA_LINE))
            case 1:
                line = "data: " + to_json(choices, change_fields(choices, OPENAI_EVENT))
            case 2:
                delta = change_fields(choices, {"content": "hello there.", "role": "assistant"})
                line = "data: " + json.dumps(
                    {"choices": [{"delta": delta, "finish_reason": choices.one_of((None, "stop"))}]}
                )
            case 3:
                line = choices.one_of(("data: ", "")) + to_json(choices, json_value(choices))
            case _:
                line = choices.one_of(
                    ("data: [DONE]", '{"done": true}', ": ping", "", '{"error": "x"}', "data:", "x" * 70_000)
                )
        lines.append(line)
    status = choices.one_of((200,) * 8 + (400, 404, 429, 500, 503, 302))
    body = choices.one_of(("\n", "\n\n", "\r\n")).join(lines) + choices.one_of(("\n", ""))
    return f"{status}\n{body}".encode("utf-8", "replace")


class _Body(httpx.AsyncByteStream):
    """A body in pieces whose sizes depend on its content."""

    def __init__(self, body: bytes) -> None:
        self._left = body
        self._sizes = random.Random(body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        size = self._sizes.choice((1, 7, 100, 4_096))
        piece, self._left = self._left[:size], self._left[size:]
        return piece


@contextmanager
def checking_reply() -> Generator[Check]:
    """Check that both clients yield texts, or fail as a failed peer."""
    response: dict[str, Any] = {}

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(response["status"], stream=_Body(response["body"]))

    def client(*_: object, **__: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(respond), trust_env=False)

    async def run() -> None:
        openai = OpenAiModel(OpenAiSettings.model_validate({"url": URL, "model": "m", "api_key": "k"}))
        settings = ollama.OllamaSettings.model_validate({"url": URL, "model": "m", "preload": False})
        models: tuple[Any, ...] = (openai, ollama.OllamaModel(settings))
        for model in models:
            assert isinstance(model, HttpModel)
            async with model:
                with stated_errors(AnchorError):
                    async for piece in model.reply(PROMPT):
                        assert isinstance(piece, str)

    def check(case: bytes) -> None:
        head, _, response["body"] = case.partition(b"\n")
        response["status"] = int(head) if head.isdigit() and 200 <= int(head[:3]) < 600 and len(head) == 3 else 200
        run_on_loop(run())

    patches = (mock.patch(f"orchestrator.llm.{name}.http_client", client) for name in ("openai", "ollama.engine"))
    with next(patches), next(patches), running_loop(VirtualLoop) as run_on_loop:
        yield check


# ---------------------------------------------------------------------------------------------------------------
# What is spoken

MARKS = (
    *(
        "**",
        "*",
        "_",
        "`",
        "```",
        "```py\n",
        "# ",
        "- ",
        "1. ",
        "> ",
        "| a | b |\n|---|---|\n",
        "[",
        "](",
        ")",
        "![",
        "<",
        ">",
    ),
    *(
        "<think>",
        "</think>",
        "<|im_end|>",
        "</",
        "&amp;",
        "&#x41;",
        "$",
        "\\(",
        "\\)",
        "$$",
        "€",
        "%",
        "3.14",
        "1,000",
        "½",
    ),
    *(
        "x^2",
        "[1]",
        "http://a.b/c",
        "www.a.b",
        "{",
        "}",
        '{"name": "f", "arguments": {}}',
        "\n",
        "\n\n",
        " ",
        "word ",
        "🙂",
        "\\",
    ),
)


def generate_spoken(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a reply of a language model, in which anything may stand beside anything."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    pieces = [
        choices.one_of(MARKS) if choices.below(5) else choices.one_of(TEXTS) for _ in range(1 + choices.below(24))
    ]
    repeat = 12 if choices.chance(24) else 1
    return ("".join(pieces) * repeat + text_of(choices)).encode("utf-8", "replace")


@contextmanager
def checking_spoken() -> Generator[Check]:
    """Check that any text can be spoken in any language, and that its division into deltas does not matter."""

    def check(case: bytes) -> None:
        text = case.decode("utf-8", "replace")
        cuts = random.Random(case)
        language = cuts.choice(LANGUAGES)
        begins_in_reasoning = cuts.random() < 0.2
        whole = _spoken(TextNormaliser(language, "some code", begins_in_reasoning=begins_in_reasoning), [text])
        deltas: list[str] = []
        at = 0
        while at < len(text):
            size = cuts.choice((1, 2, 5, 30))
            deltas.append(text[at : at + size])
            at += size
        cut = _spoken(TextNormaliser(language, "some code", begins_in_reasoning=begins_in_reasoning), deltas)
        assert cut == whole, (cut, whole)

    yield check


def _spoken(normaliser: TextNormaliser, deltas: Sequence[str]) -> str:
    spoken = ""
    for visible in (*map(normaliser.push_text, deltas), normaliser.end_text()):
        spoken = visible.text if visible.withdraws else spoken + visible.text
    return spoken


TARGETS = (
    FuzzTarget("llm-reply", generate_reply, checking_reply),
    FuzzTarget("spoken-text", generate_spoken, checking_spoken),
)
