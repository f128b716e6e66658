"""Prepares passages: has the server process each prompt prefix once, and keeps the result in a file.

A prepared passage saves the two to three seconds that its notes take. Passages are prepared in the background, one
after another, while no turn has begun for a while; a turn that begins cancels the one in progress.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from service_kit.errors import AnchorError, AtCapacity

from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import Passage, PassageKind
from orchestrator.llm.local.llama_client import LlamaClient
from orchestrator.llm.local.passage_prompt import PassagePrompt, passage_prompt
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.llm.local.slot_files import SlotFiles, slot_filename

log = logging.getLogger(__name__)

# Interval between looks at the knowledge folder, and between tries while the server is down.
_INTERVAL_S = 5.0
LANGUAGE = "en"


class SlotBusy(AtCapacity):
    """Another session's answer is being written."""


class PassagePreparation:
    """Owns the server's slot, which one request at a time uses."""

    def __init__(
        self,
        client: LlamaClient,
        knowledge: KnowledgeFolder,
        settings: LocalLlmSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._knowledge = knowledge
        self._settings = settings
        self._clock = clock
        self._files = SlotFiles(settings.cache_dir, settings.cache_mb * 1_000_000)
        # Prepared passages are files that this process must see; a server elsewhere has none here.
        self._has_files = settings.cache_mb > 0
        self._last_turn_s = clock()
        self._identity = ""
        self._preparing: asyncio.Task[None] | None = None
        self._in_file: set[str] = set()
        self._slot = asyncio.Lock()

    @property
    def prepared_count(self) -> int:
        """The number of prepared passages."""
        return len(self._in_file)

    def on_turn(self) -> None:
        """A turn begins: stop preparing, and wait until it is quiet again."""
        self._last_turn_s = self._clock()
        if self._preparing is not None:
            self._preparing.cancel()

    @asynccontextmanager
    async def slot(self, wait_s: float) -> AsyncGenerator[None]:
        """Hold the slot; waits at most `wait_s` for it. Raises `SlotBusy`."""
        try:
            async with asyncio.timeout(wait_s):
                await self._slot.acquire()
        except TimeoutError as error:
            raise SlotBusy("llm.busy", f"another answer took longer than {wait_s:g} s") from error
        try:
            yield
        finally:
            self._slot.release()

    async def restore(self, prompt: PassagePrompt) -> bool:
        """Restore the prepared prefix into the slot, which the caller holds. Raises `AnchorError`."""
        filename = await self._prepared_file(prompt)
        if filename:
            await self._client.restore_slot(filename)
        return bool(filename)

    async def prepare(self, prompt: PassagePrompt) -> None:
        """Process and save one prefix; the caller holds the slot. Raises `AnchorError`. Safe to cancel."""
        await self._client.process_prompt(prompt.messages(""))
        if not self._has_files or not self._identity:
            return
        filename = slot_filename(self._identity, prompt.system)
        written = await self._client.save_slot(filename)
        if await asyncio.to_thread(self._files.record_save, filename, written):
            self._in_file.add(filename)
            return
        self._has_files = False
        log.warning(
            "prepared passages are not kept: the folder is not the model server's, or its disk is full",
            extra={"folder": str(self._settings.cache_dir)},
        )

    async def run(self) -> None:
        """Prepare passages that are new or changed until cancelled."""
        while True:
            await asyncio.sleep(self._wait_s())
            if self._wait_s() > _INTERVAL_S or not self._has_files:
                continue
            self._preparing = asyncio.create_task(self._prepare_missing(), name="passage preparation")
            try:
                await asyncio.wait((self._preparing,))
            finally:
                self._preparing.cancel()
                await asyncio.wait((self._preparing,))
            if not self._preparing.cancelled() and (error := self._preparing.exception()):
                log.info("preparing passages stopped", extra={"reason": str(error)})
                if not isinstance(error, AnchorError):
                    raise error

    def _wait_s(self) -> float:
        quiet_s = self._clock() - self._last_turn_s
        return max(self._settings.prepare_after_s - quiet_s, min(_INTERVAL_S, self._settings.prepare_after_s))

    async def _prepare_missing(self) -> None:
        """Prepare passages that have no file yet, as many as there is room for; files of others make room."""
        self._identity = await self._client.fetch_identity()
        index = await self._knowledge.current_index()
        prompts = [passage_prompt(passage) for passage in index.passages if answers_from(passage)]
        names = {slot_filename(self._identity, prompt.system) for prompt in prompts}
        self._in_file &= names
        for prompt in prompts:
            async with self.slot(self._settings.prepare_s):
                if not await self._prepared_file(prompt):
                    # Without room, each passage would take the place of another, in every round.
                    if not await asyncio.to_thread(self._files.make_room, names):
                        return
                    await self.prepare(prompt)
            if not self._has_files:
                return

    async def _prepared_file(self, prompt: PassagePrompt) -> str:
        if not self._identity:
            self._identity = await self._client.fetch_identity()
        filename = slot_filename(self._identity, prompt.system)
        if not await asyncio.to_thread(self._files.is_prepared, filename):
            self._in_file.discard(filename)
            return ""
        self._in_file.add(filename)
        return filename


def answers_from(passage: Passage) -> bool:
    """Whether the model answers from `passage`: it reads English, and what the anchor says about itself is fixed."""
    return passage.language == LANGUAGE and passage.kind is not PassageKind.ABOUT
