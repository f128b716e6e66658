"""Asks services what they hold, each by itself, and keeps their last answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from service_kit.errors import AnchorError, PeerFailed

from gpu_monitor.memory.self_report import Ask, Reporter, SelfReport, Told, combined
from gpu_monitor.metrics import SELF_REPORT_FAILURES

log = logging.getLogger(__name__)

# An answer older than this is not kept: the service is gone rather than slow.
FORGOTTEN_AFTER_S = 300.0
# Rounds that may fail before the last answer counts as stale.
STALE_ROUNDS = 3


class SelfReports:
    """One loop a reporter, so that a service which hangs keeps nobody waiting. One answer of each is kept."""

    def __init__(
        self,
        reporters: Sequence[Reporter],
        deadline_s: float,
        pace_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pace_s` tells the time between two questions, asked anew before each."""
        self._reporters = reporters
        self._deadline_s = deadline_s
        self._pace_s = pace_s
        self._clock = clock
        # By position among the reporters, with the time of the answer.
        self._answers: dict[int, tuple[float, SelfReport]] = {}

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as asking:
            for position, reporter in enumerate(self._reporters):
                asking.create_task(self._follow(position, reporter), name=f"self-report of {reporter.service}")

    def told(self) -> dict[str, Told]:
        """The last that was heard, by service; none of those not heard of for long."""
        if not self._answers:
            return {}
        now_s = self._clock()
        stale_after_s = STALE_ROUNDS * self._pace_s() + self._deadline_s
        answers: defaultdict[str, list[Told]] = defaultdict(list)
        for position, (answered_s, report) in self._answers.items():
            age_s = now_s - answered_s
            if age_s <= max(FORGOTTEN_AFTER_S, stale_after_s):
                answers[self._reporters[position].service].append(Told(report, age_s, age_s > stale_after_s))
        return {service: combined(heard) for service, heard in answers.items()}

    async def _follow(self, position: int, reporter: Reporter) -> None:
        reason = ""
        async with reporter.open() as ask:
            while True:
                try:
                    report = await self._answer(ask)
                except AnchorError as error:
                    SELF_REPORT_FAILURES.labels(reporter.service).inc()
                    if error.code != reason:
                        log.info(
                            "service does not tell what it holds", extra={"peer": reporter.service} | fields(error)
                        )
                    reason = error.code
                else:
                    self._answers[position] = (self._clock(), report)
                    reason = ""
                await asyncio.sleep(self._pace_s())

    async def _answer(self, ask: Ask) -> SelfReport:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await ask()
        except TimeoutError as error:
            raise PeerFailed("gpu.self_report_late", f"no answer within {self._deadline_s:g} s") from error


def fields(error: AnchorError) -> dict[str, str]:
    """`error` as fields of a log line."""
    return {"code": error.code, "reason": error.message}
