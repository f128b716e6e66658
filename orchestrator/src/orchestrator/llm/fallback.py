"""A language model with a fallback, which answers when the main model fails or times out."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from service_kit.errors import AnchorError, InvalidRequest, PeerFailed

from orchestrator.conversation.model.ports import LanguageModel, Prompt, ReplyPiece
from orchestrator.conversation.output.normalisation.reasoning import ReasoningFilter
from orchestrator.llm.circuit_breaker import CircuitBreaker
from orchestrator.metrics import LLM_FAILURES, LLM_FALLBACKS, LLM_FIRST_TOKEN_SECONDS, LLM_REPLIES_CUT_SHORT

log = logging.getLogger(__name__)


ATTEMPTS = 2
# An owner who grants more than this to the first token waits once: the same wait again would be too long.
_MAX_REPEATED_S = 3.9
# Reasoning may be this many times as long as the longest reply.
_MAX_REASONING_SHARE = 10
_ANNOUNCEMENT_INTERVAL_S = 60.0
# Characters by which a reply may exceed its maximum to finish a sentence.
_MAX_OVERRUN_CHARS = 200
_SENTENCE_END = re.compile(r"[.!?…।]['\"”’)]*\s*$")


class FallbackModel:
    """Answers by `primary`, or by `fallback` when that fails. One per session; `name` is the engine of the last reply.

    An attempt that fails before its first token, or has none within `first_token_s`, is repeated once (a wait of more
    than `_MAX_REPEATED_S` is not); then `fallback` answers. While `breaker` is open, `fallback` answers at once. The
    persona announces the fallback the first time, and then at most once a minute. A failure after the first token is
    raised, so that no text is spoken twice.
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
        self._announced_at_s = float("-inf")

    @property
    def name(self) -> str:
        return self._answered_by.name

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply. Raises `InvalidRequest` at any time, and other `AnchorError`s after the first token."""
        self._answered_by = self._primary
        attempts = 0 if self._breaker.open else ATTEMPTS
        for attempts_left in reversed(range(attempts)):
            async with aclosing(self._primary.reply(prompt)) as pieces:
                first_words = await self._first_words(pieces)
                if isinstance(first_words, str):
                    self._breaker.on_success()
                    async with aclosing(self._bounded_reply(first_words, pieces)) as bounded:
                        async for piece in bounded:
                            yield piece
                    return
            waited_long = first_words.code == "llm.silent" and self._first_token_s > _MAX_REPEATED_S
            if not first_words.retryable or not attempts_left or waited_long:
                now_s = asyncio.get_running_loop().time()
                self._breaker.on_failure(now_s, permanent=not first_words.retryable, reason=first_words)
                break
        self._answered_by = self._fallback
        LLM_FALLBACKS.labels(self._fallback.name).inc()
        if announcement := self._announcement(prompt):
            yield f"{announcement} "
        async with aclosing(self._fallback.reply(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Prefill the main model, unless the breaker is open. Raises `AnchorError`."""
        if not self._breaker.open:
            await self._primary.prefill(prompt)

    def _announcement(self, prompt: Prompt) -> str:
        """Return the phrase that precedes a fallback reply; empty when the user heard it within the last minute."""
        phrase = prompt.persona.phrase("fallback", prompt.language).rstrip()
        now_s = asyncio.get_running_loop().time()
        # A phrase of a discarded or interrupted reply is not in the history, and is spoken again.
        heard = any(phrase in message.text for message in prompt.history if message.role == "anchor")
        if heard and now_s - self._announced_at_s < _ANNOUNCEMENT_INTERVAL_S:
            return ""
        self._announced_at_s = now_s
        return phrase

    async def _first_words(self, pieces: AsyncIterator[str]) -> str | AnchorError:
        """Read the reply up to its first visible character, or return the error that prevented it."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        text = ReplyPiece("")
        try:
            async with asyncio.timeout_at(started_s + self._first_token_s):
                while not text.strip():
                    piece = ReplyPiece.of(await anext(pieces))
                    text = ReplyPiece(text + piece, piece.language, text.sources + piece.sources)
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
        self._record_failure(error)
        return error

    async def _bounded_reply(self, first_words: str, pieces: AsyncIterator[str]) -> AsyncGenerator[str]:
        """Yield the reply; end it after a sentence once it exceeds the maximum length, not counting reasoning."""
        yield first_words
        reasoning = ReasoningFilter()
        length, written = len(reasoning.push_text(first_words).text), len(first_words)
        try:
            async for piece in pieces:
                yield piece
                visible = reasoning.push_text(piece)
                length = len(visible.text) + (0 if visible.withdraws else length)
                written += len(piece)
                overrun = max(length, written // _MAX_REASONING_SHARE) - self._max_reply_chars
                if overrun >= _MAX_OVERRUN_CHARS or (overrun >= 0 and _SENTENCE_END.search(piece)):
                    LLM_REPLIES_CUT_SHORT.labels(self._primary.name).inc()
                    log.warning("reply cut short", extra={"engine": self._primary.name, "length": length})
                    return
        except AnchorError as error:
            self._record_failure(error)
            raise

    def _record_failure(self, error: AnchorError) -> None:
        LLM_FAILURES.labels(self._primary.name, error.code).inc()
        log.warning(
            "language model failed",
            extra={"engine": self._primary.name, "code": error.code, "reason": error.message},
        )
