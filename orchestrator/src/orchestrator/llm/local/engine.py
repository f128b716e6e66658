"""The local language model: one sentence out of a retrieved passage, checked, with the briefing behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

from service_kit.errors import AnchorError
from service_kit.tasks import background

from orchestrator.conversation.model.ports import LanguageModel, Prompt, ReplyPiece
from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.retriever import Retriever
from orchestrator.knowledge.stop_words import split_words
from orchestrator.llm.briefing.engine import prompt_intent, reply_source
from orchestrator.llm.fixed_answers import fixed_answer
from orchestrator.llm.local.answer_check import best_sentence, first_sentence, is_supported, says_nothing
from orchestrator.llm.local.llama_client import LlamaClient, ModelServerDown
from orchestrator.llm.local.passage_prompt import passage_prompt
from orchestrator.llm.local.preparation import LANGUAGE, PassagePreparation, SlotBusy, answers_from
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.metrics import LLM_FIRST_TOKEN_SECONDS, LOCAL_ANSWERS

log = logging.getLogger(__name__)

MODEL = "qwen2.5-coder-1.5b-instruct"
ANSWERS = "one sentence from a passage; English; no tools; no free conversation"
_OPENER = "About {title}. "
_NOT_IN_NOTES = "My notes do not say that."
# A question with one of these words, or one that begins with "and", may continue the last topic.
# fmt: off
_REFERENCES = frozenset({
    "it", "its", "that", "this", "they", "them", "their", "there", "he", "she", "his", "her", "him", "those", "these",
})
# fmt: on


class LocalModel:
    """Answers over the passages; implements `ServedModel`. Shared by all sessions; the server answers one at a time."""

    name = "local"

    def __init__(
        self,
        settings: LocalLlmSettings,
        retriever: Retriever,
        briefing: LanguageModel,
    ) -> None:
        """`briefing` answers whatever is no question about a passage in English."""
        self._settings = settings
        self._retriever = retriever
        self._briefing = briefing
        self._client = LlamaClient(settings)
        self._preparation = PassagePreparation(self._client, retriever.knowledge, settings)
        # The server's failure, which the next reply checks first; empty while it answers.
        self._failure = ""
        self._answered = False
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            await stack.enter_async_context(background(self._preparation.run(), "passage preparation loop"))
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def model(self) -> str:
        """The model's name."""
        return MODEL

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply: an opener that names the topic, at once, and then one sentence.

        Raises `ModelServerDown` before the first piece when the server does not answer.
        """
        self._preparation.on_turn()
        if fixed := fixed_answer(prompt):
            LOCAL_ANSWERS.labels("fixed").inc()
            yield fixed
            return
        passage = await self._find_passage(prompt)
        if passage is None:
            LOCAL_ANSWERS.labels("briefing").inc()
            async with aclosing(self._briefing.reply(prompt)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        if self._failure:
            await self.probe()
        yield ReplyPiece(_OPENER.format(title=passage.title), sources=(reply_source(passage),))
        yield await self._answer(passage, prompt.text)

    async def prefill(self, prompt: Prompt) -> None:
        """Load the passage that the words heard so far are about. Raises `AnchorError`. Safe to cancel."""
        self._preparation.on_turn()
        heard = replace(prompt, text=prompt.partial)
        if not heard.text or fixed_answer(heard) or (passage := await self._find_passage(heard)) is None:
            return
        prefix = passage_prompt(passage)
        async with self._preparation.slot(self._settings.first_token_s):
            if not await self._preparation.restore(prefix):
                await self._preparation.prepare(prefix)

    async def probe(self) -> None:
        """Raise `ModelServerDown`, with the reason, unless the server has a model."""
        try:
            await self._client.check_health()
        except ModelServerDown as error:
            # At the start, the server is loading; its own log says when it cannot.
            if self._answered and error.message != self._failure:
                log.warning("the local language model does not answer", extra={"reason": error.message})
            self._failure = error.message
            raise
        self._failure = ""
        self._answered = True

    def describe(self) -> Mapping[str, object]:
        """Return the model's name, its range and its state for `/health` and `/info`."""
        return {
            "model": self.model,
            "answers": ANSWERS,
            "prepared_passages": self._preparation.prepared_count,
            **({"reason": self._failure} if self._failure else {}),
        }

    async def _find_passage(self, prompt: Prompt) -> Passage | None:
        """The passage to answer from; None when the briefing answers."""
        if (prompt.language or LANGUAGE) != LANGUAGE or prompt_intent(prompt) is not None:
            return None
        if (found := (await self._retriever.find((prompt.text, *prompt.alternatives), LANGUAGE)).answer) is not None:
            return found if answers_from(found) else None
        words = list(split_words(prompt.text))
        if words[:1] != ["and"] and not _REFERENCES & set(words):
            return None
        return _last_passage(prompt, (await self._retriever.knowledge.current_index()).passages)

    async def _answer(self, passage: Passage, question: str) -> str:
        """The model's sentence, if it passes the checks, or else the passage's own."""
        try:
            async with (
                asyncio.timeout(self._settings.complete_s),
                self._preparation.slot(self._settings.first_token_s),
            ):
                sentence = await self._generate(passage, question)
        except SlotBusy:
            LOCAL_ANSWERS.labels("busy").inc()
            return _read_out(passage, question)
        except (TimeoutError, AnchorError) as error:
            self._failure = str(error) or "the sentence was not complete in time"
            log.warning("the local language model failed", extra={"reason": self._failure})
            LOCAL_ANSWERS.labels("failed").inc()
            return _read_out(passage, question)
        if says_nothing(sentence):
            # The model overlooks what the notes say; a sentence with the question's own words is read out.
            LOCAL_ANSWERS.labels("not_in_notes").inc()
            read, shares_words = best_sentence(passage, question)
            return read if shares_words else _NOT_IN_NOTES
        if not sentence or not is_supported(sentence, passage, question):
            log.info("the model's sentence was replaced", extra={"passage": passage.id, "sentence": sentence})
            LOCAL_ANSWERS.labels("replaced").inc()
            return best_sentence(passage, question)[0]
        LOCAL_ANSWERS.labels("answered").inc()
        return sentence

    async def _generate(self, passage: Passage, question: str) -> str:
        """The first complete sentence; generation stops after it. Raises `AnchorError`."""
        prefix = passage_prompt(passage)
        await self._preparation.restore(prefix)
        text = ""
        asked_s = asyncio.get_running_loop().time()
        async with aclosing(self._client.complete(prefix.messages(question))) as pieces:
            async for piece in pieces:
                if not text:
                    LLM_FIRST_TOKEN_SECONDS.labels(MODEL).observe(asyncio.get_running_loop().time() - asked_s)
                text += piece
                # The blank or letter after a full stop shows that it ends the sentence.
                if first_sentence(text) and len(first_sentence(text)) < len(text.strip()):
                    break
        return first_sentence(text)


def _read_out(passage: Passage, question: str) -> str:
    """What answers without the model: the sentence with words of the question, or else the whole passage."""
    sentence, shares_words = best_sentence(passage, question)
    return sentence if shares_words else " ".join(passage.sentences)


def _last_passage(prompt: Prompt, passages: tuple[Passage, ...]) -> Passage | None:
    """The passage that the last reply named in its opener; None when it named none."""
    last = next((message.text for message in reversed(prompt.history) if message.role == "anchor"), "")
    openers = {_OPENER.format(title=passage.title).strip(): passage for passage in passages if answers_from(passage)}
    return next((passage for opener, passage in openers.items() if last.startswith(opener)), None)
