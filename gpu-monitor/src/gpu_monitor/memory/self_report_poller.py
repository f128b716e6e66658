"""Polls services for their self-reports and stores the latest of each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from service_kit.errors import AnchorError, PeerFailed

from gpu_monitor.memory.self_report import FetchReport, ReceivedReport, Reporter, SelfReport, merge_reports
from gpu_monitor.metrics import SELF_REPORT_FAILURES

log = logging.getLogger(__name__)

# Older reports are dropped: the service is gone rather than slow.
MAX_AGE_S = 300.0
# Polls that may fail before the latest report counts as stale.
STALE_ROUNDS = 3


class SelfReportPoller:
    """Runs one polling loop per reporter, so that a hanging service does not delay the others."""

    def __init__(
        self,
        reporters: Sequence[Reporter],
        deadline_s: float,
        interval_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interval_s` returns the time to the next poll; it is called after each one."""
        self._reporters = reporters
        self._deadline_s = deadline_s
        self._interval_s = interval_s
        self._clock = clock
        # (time, report) by the reporter's position.
        self._answers: dict[int, tuple[float, SelfReport]] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as polling:
            for position, reporter in enumerate(self._reporters):
                polling.create_task(self._poll(position, reporter), name=f"self-report of {reporter.service}")

    def latest(self) -> dict[str, ReceivedReport]:
        """The latest report by service, without those older than `MAX_AGE_S`."""
        if not self._answers:
            return {}
        now_s = self._clock()
        stale_after_s = STALE_ROUNDS * self._interval_s() + self._deadline_s
        answers: defaultdict[str, list[ReceivedReport]] = defaultdict(list)
        for position, (answered_s, report) in self._answers.items():
            age_s = now_s - answered_s
            if age_s <= max(MAX_AGE_S, stale_after_s):
                answers[self._reporters[position].service].append(ReceivedReport(report, age_s, age_s > stale_after_s))
        return {service: merge_reports(received) for service, received in answers.items()}

    async def _poll(self, position: int, reporter: Reporter) -> None:
        reason = ""
        async with reporter.connect() as fetch:
            while True:
                try:
                    report = await self._fetch_within_deadline(fetch)
                except AnchorError as error:
                    SELF_REPORT_FAILURES.labels(reporter.service).inc()
                    if error.code != reason:
                        log.info("self-report failed", extra={"peer": reporter.service} | error_fields(error))
                    reason = error.code
                else:
                    self._answers[position] = (self._clock(), report)
                    reason = ""
                await asyncio.sleep(self._interval_s())

    async def _fetch_within_deadline(self, fetch: FetchReport) -> SelfReport:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await fetch()
        except TimeoutError as error:
            raise PeerFailed("gpu.self_report_late", f"no answer within {self._deadline_s:g} s") from error


def error_fields(error: AnchorError) -> dict[str, str]:
    """`error` as log fields."""
    return {"code": error.code, "reason": error.message}
