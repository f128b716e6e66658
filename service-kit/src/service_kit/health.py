"""The state of a service: loading, ready, draining or failed; the source for both HTTP and gRPC health."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from service_kit.engines.info import EngineInfo
from service_kit.observability.metrics import READY


class Status(StrEnum):
    """Stages of a service's life cycle."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Health:
    """State of one service; only its life cycle writes it."""

    def __init__(self, service: str, engine: EngineInfo) -> None:
        self.service = service
        self.engine = engine
        self.status = Status.LOADING
        self.reason = ""
        # Further fields of `/health`; called for every request.
        self.details: Callable[[], Mapping[str, object]] = dict
        self._started_s = time.monotonic()
        READY.set(0)

    def move_to(self, status: Status, reason: str = "") -> None:
        """Enter `status`; `reason` explains it to people, where it is not obvious."""
        self.status = status
        self.reason = reason
        READY.set(1 if status is Status.READY else 0)

    @property
    def alive(self) -> bool:
        """Liveness: False when a restart of the process helps."""
        return self.status is not Status.FAILED

    @property
    def ready(self) -> bool:
        """Readiness: whether the service accepts work."""
        return self.status is Status.READY

    def describe(self) -> dict[str, object]:
        """Return the body of `/health`."""
        return {
            "service": self.service,
            "status": self.status.value,
            "reason": self.reason,
            "engine": self.engine.name,
            "model": self.engine.model,
            "version": self.engine.version,
            "languages": self.engine.languages,
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            **self.details(),
        }
