"""Limits of single keys: sessions at one time, requests a minute. The secret, and keys without limits, have none."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import grpc
from service_kit.errors import Denied
from service_kit.http.api_keys import ApiKey

from orchestrator.api.callers import Caller

_MINUTE_S = 60.0
# When a session of a key ends is not known.
_SESSION_RETRY_S = 5


class Throttled(Denied):
    """The caller may not do this now; `retry_after_s` says after how many whole seconds it may try again."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    http_status = 429
    websocket_close_code = 1013
    retryable = True

    def __init__(self, code: str, message: str, retry_after_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(retry_after_s))
        super().__init__(code, f"{message}; try again in {self.retry_after_s} s")


class KeyLimits:
    """Counts the sessions and requests of the keys that have limits; `now_s` is a monotonic clock in seconds.

    A session is a connection that can talk: a WebSocket, a gRPC call, or one `/interact`. Memory is bounded by the
    limits themselves: of each key it holds the times of the requests of one minute.
    """

    def __init__(self, keys: Iterable[ApiKey], now_s: Callable[[], float] = time.monotonic) -> None:
        self._keys = {key.name: key for key in keys}
        self._now_s = now_s
        self._sessions: Counter[str] = Counter()
        self._requests: dict[str, deque[float]] = {}

    def count_request(self, caller: Caller) -> None:
        """Count one request. Raises `Throttled` where the key has had all of the last 60 s."""
        key = self._keys.get(caller.key)
        if key is None or key.per_minute is None:
            return
        now_s = self._now_s()
        times = self._requests.setdefault(key.name, deque())
        while times and times[0] <= now_s - _MINUTE_S:
            times.popleft()
        if len(times) >= key.per_minute:
            message = f"the key {key.name} may send {key.per_minute} requests a minute"
            raise Throttled("orchestrator.key_rate", message, times[0] + _MINUTE_S - now_s)
        times.append(now_s)

    @contextmanager
    def open_session(self, caller: Caller) -> Generator[None]:
        """Count one session until the context is left. Raises `Throttled` where all sessions of the key are open."""
        key = self._keys.get(caller.key)
        if key is None or key.max_sessions is None:
            yield
            return
        if self._sessions[key.name] >= key.max_sessions:
            message = f"the key {key.name} may have {key.max_sessions} sessions open"
            raise Throttled("orchestrator.key_sessions", message, _SESSION_RETRY_S)
        self._sessions[key.name] += 1
        try:
            yield
        finally:
            self._sessions[key.name] -= 1
