"""Warming: while the user speaks, the language model reads what is known of the next prompt."""

from __future__ import annotations

import asyncio
import logging

from service_kit.errors import AnchorError

from orchestrator.conversation.model.ports import LanguageModel, Prompt
from orchestrator.metrics import LLM_PREFILLS

log = logging.getLogger(__name__)

# How long a request that is cut off may take to let go before the real one is sent without it.
_LET_GO_S = 0.2


class PromptPrefill:
    """Reads ahead, one prompt at a time; `group` owns the task. What fails here costs time, and nothing else."""

    def __init__(self, model: LanguageModel, group: asyncio.TaskGroup) -> None:
        self._model = model
        self._group = group
        self._task: asyncio.Task[None] | None = None

    def start(self, prompt: Prompt) -> None:
        """Read `prompt` ahead, unless something is still being read."""
        if self._task is None or self._task.done():
            self._task = self._group.create_task(self._warm(prompt), name="warming")

    async def stop(self) -> None:
        """Make way for the real request."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_LET_GO_S)
        if not done:
            log.warning("warming did not let go", extra={"waited_s": _LET_GO_S})

    async def _warm(self, prompt: Prompt) -> None:
        outcome = "failed"
        try:
            await self._model.prefill(prompt)
            outcome = "finished"
        except asyncio.CancelledError:
            outcome = "cut_off"
            raise
        except AnchorError as error:
            log.info("warming failed", extra={"code": error.code, "reason": error.message})
        except Exception:
            log.exception("warming broke")
        finally:
            LLM_PREFILLS.labels(outcome).inc()
