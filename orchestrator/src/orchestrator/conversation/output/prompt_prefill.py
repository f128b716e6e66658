"""Prompt prefill: while the user speaks, the language model processes the known part of the next prompt."""

from __future__ import annotations

import asyncio
import logging

from service_kit.errors import AnchorError

from orchestrator.conversation.model.ports import LanguageModel, Prompt
from orchestrator.metrics import LLM_PREFILLS

log = logging.getLogger(__name__)

# How long a cancelled prefill may take to end before the reply is requested without waiting for it.
_CANCEL_TIMEOUT_S = 0.2


class PromptPrefill:
    """Prefills one prompt at a time; `group` owns the task. A failed prefill only costs latency."""

    def __init__(self, model: LanguageModel, group: asyncio.TaskGroup) -> None:
        self._model = model
        self._group = group
        self._task: asyncio.Task[None] | None = None

    def start(self, prompt: Prompt) -> None:
        """Prefill `prompt`, unless another prefill is still running."""
        if self._task is None or self._task.done():
            self._task = self._group.create_task(self._prefill(prompt), name="prefill")

    async def stop(self) -> None:
        """Cancel the prefill, so that the reply can be requested."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)
        if not done:
            log.warning("prefill did not end when cancelled", extra={"waited_s": _CANCEL_TIMEOUT_S})

    async def _prefill(self, prompt: Prompt) -> None:
        outcome = "failed"
        try:
            await self._model.prefill(prompt)
            outcome = "finished"
        except asyncio.CancelledError:
            outcome = "cut_off"
            raise
        except AnchorError as error:
            log.info("prefill failed", extra={"code": error.code, "reason": error.message})
        except Exception:
            log.exception("prefill raised an unexpected error")
        finally:
            # With a partial transcript, most models have nothing to do.
            if not prompt.partial:
                LLM_PREFILLS.labels(outcome).inc()
            if self._task is asyncio.current_task():
                # A task that was cancelled refers to this object by the traceback of its error.
                self._task = None
