"""How a service is: alive, loading, ready, draining or broken. The one place that both doors tell from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from service_kit.engines.info import EngineInfo
from service_kit.observability.metrics import READY


class Status(StrEnum):
    """Stages of a service's life, and the one way it breaks."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Health:
    """State of one service; written by its life cycle only."""

    def __init__(self, service: str, engine: EngineInfo) -> None:
        self.service = service
        self.engine = engine
        self.status = Status.LOADING
        self.reason = ""
        # What a service adds to `/health`; asked at every request.
        self.details: Callable[[], Mapping[str, object]] = dict
        self._started_s = time.monotonic()
        READY.set(0)

    def move_to(self, status: Status, reason: str = "") -> None:
        """Enter `status`; `reason` says in plain words why, where that is not obvious."""
        self.status = status
        self.reason = reason
        READY.set(1 if status is Status.READY else 0)

    @property
    def alive(self) -> bool:
        """Whether restarting this process would be of no use."""
        return self.status is not Status.FAILED

    @property
    def ready(self) -> bool:
        """Whether work is welcome."""
        return self.status is Status.READY

    def describe(self) -> dict[str, object]:
        """The body of `/health`."""
        return {
            "service": self.service,
            "status": self.status.value,
            "reason": self.reason,
            "engine": self.engine.name,
            "model": self.engine.model,
            "version": self.engine.version,
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            **self.details(),
        }
