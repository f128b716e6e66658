"""A language model that always answers: the main one, or, when that breaks or is silent, another in its place."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from service_kit.errors import AnchorError, InvalidRequest, PeerFailed

from orchestrator.conversation.model.ports import LanguageModel, Prompt
from orchestrator.llm.circuit_breaker import CircuitBreaker
from orchestrator.metrics import LLM_FAILURES, LLM_FALLBACKS, LLM_FIRST_TOKEN_SECONDS, LLM_REPLIES_CUT_SHORT

log = logging.getLogger(__name__)


_ATTEMPTS = 2
_ANNOUNCED_EVERY_S = 60.0
# How far past its budget a reply may go to finish a sentence, in characters.
_SENTENCE_ALLOWANCE = 200
_SENTENCE_END = re.compile(r"[.!?…।]['\"”’)]*\s*$")


class FallbackModel:
    """`primary`, with `fallback` behind it. One per session: `name` tells who gave the session's latest reply.

    Before the first token, an attempt that breaks or is silent for `first_token_s` is repeated once; then `fallback`
    answers, at once while `breaker` is open. The persona says so the first time, and then once a minute at most. Once
    text went out, a failure is the caller's: nothing is said twice.
    """

    def __init__(
        self,
        primary: LanguageModel,
        fallback: LanguageModel,
        breaker: CircuitBreaker,
        *,
        first_token_s: float,
        max_reply_chars: int,
    ) -> None:
        self._primary = primary
        self._fallback = fallback
        self._first_token_s = first_token_s
        self._max_reply_chars = max_reply_chars
        self._breaker = breaker
        self._answered_by = primary
        self._announced_s = float("-inf")

    @property
    def name(self) -> str:
        return self._answered_by.name

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """The reply. Raises `InvalidRequest` as it comes, and any `AnchorError` after the first token."""
        self._answered_by = self._primary
        attempts = 0 if self._breaker.open else _ATTEMPTS
        for left in reversed(range(attempts)):
            async with aclosing(self._primary.reply(prompt)) as pieces:
                beginning = await self._beginning(pieces)
                if isinstance(beginning, str):
                    self._breaker.on_success()
                    async with aclosing(self._rest(pieces, beginning)) as rest:
                        async for piece in rest:
                            yield piece
                    return
            if not beginning.retryable or not left:
                now_s = asyncio.get_running_loop().time()
                self._breaker.on_failure(now_s, for_good=not beginning.retryable)
                break
        self._answered_by = self._fallback
        LLM_FALLBACKS.labels(self._fallback.name).inc()
        if announcement := self._announcement(prompt):
            yield f"{announcement} "
        async with aclosing(self._fallback.reply(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Let the main model read ahead; the other one is only asked when it must be. Raises `AnchorError`."""
        if not self._breaker.open:
            await self._primary.prefill(prompt)

    def _announcement(self, prompt: Prompt) -> str:
        """The words that the fallback answers with first; empty when they were heard within the last minute."""
        phrase = prompt.persona.phrase("fallback", prompt.language).rstrip()
        now_s = asyncio.get_running_loop().time()
        # What was said in a reply that was dropped or cut off is not in the history, and is said again.
        heard = any(phrase in message.text for message in prompt.history if message.role == "anchor")
        if heard and now_s - self._announced_s < _ANNOUNCED_EVERY_S:
            return ""
        self._announced_s = now_s
        return phrase

    async def _beginning(self, pieces: AsyncIterator[str]) -> str | AnchorError:
        """The reply up to its first word or mark, or why there is none."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        text = ""
        try:
            async with asyncio.timeout_at(started_s + self._first_token_s):
                while not text.strip():
                    text += await anext(pieces)
        except TimeoutError:
            error = PeerFailed("llm.silent", f"no token within {self._first_token_s} s")
        except StopAsyncIteration:
            error = PeerFailed("llm.empty", "the reply ended without a word")
        except InvalidRequest:
            raise
        except AnchorError as broken:
            error = broken
        else:
            LLM_FIRST_TOKEN_SECONDS.labels(self._primary.name).observe(loop.time() - started_s)
            return text
        self._count(error)
        return error

    async def _rest(self, pieces: AsyncIterator[str], beginning: str) -> AsyncGenerator[str]:
        """The reply that begins so, to the end of a sentence at most when it is too long to listen to."""
        yield beginning
        length = len(beginning)
        try:
            async for piece in pieces:
                yield piece
                length += len(piece)
                over = length - self._max_reply_chars
                if over >= _SENTENCE_ALLOWANCE or (over >= 0 and _SENTENCE_END.search(piece)):
                    LLM_REPLIES_CUT_SHORT.labels(self._primary.name).inc()
                    log.warning("reply cut short", extra={"engine": self._primary.name, "length": length})
                    return
        except AnchorError as error:
            self._count(error)
            raise

    def _count(self, error: AnchorError) -> None:
        LLM_FAILURES.labels(self._primary.name, error.code).inc()
        log.warning(
            "language model failed",
            extra={"engine": self._primary.name, "code": error.code, "reason": error.message},
        )
