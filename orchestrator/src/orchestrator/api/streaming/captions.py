"""`/ws/captions`: the captions of a running conversation, read-only, for pages that show nothing else.

The first frame is text, `{"type":"watch","key":"watch_…"}`. From then on each text frame is one turn as it is now; a
watcher that reads slowly skips states (`caption_feed`). A further frame from the watcher ends the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from service_kit.errors import AnchorError, AtCapacity, Denied, InvalidRequest, NotReady
from service_kit.observability.audit import SecurityEvent
from service_kit.observability.metrics import ERRORS
from service_kit.parsing.documents import parse_json
from service_kit.tasks import run_together

from orchestrator.api.access import peer_of
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.secret_check import SecretCheck
from orchestrator.conversation.connection.caption_feed import CaptionFeed, CaptionWatcher

PATH = "/ws/captions"
_MAX_KEY_CHARS = 256

log = logging.getLogger(__name__)


class _Slots:
    """Counts connections: `limit` at most."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def hold(self) -> Generator[None]:
        """Hold one until the context is left. Raises `AtCapacity`."""
        if self._free <= 0:
            raise AtCapacity("watch.at_capacity", "as many watch as this server serves; try again later")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class CaptionApi:
    """Serves watchers; those who have not named a key yet are counted apart, so that they keep no one else out."""

    def __init__(self, sessions: Sessions, limits: ApiLimits, secret_check: SecretCheck) -> None:
        self._sessions = sessions
        self._limits = limits
        self._secret_check = secret_check
        self._pending = _Slots(limits.max_pending_watchers)
        self._watching = _Slots(limits.max_watchers)

    async def serve(self, websocket: WebSocket) -> None:
        """Accept a WebSocket and serve it until it closes, or the conversation's session ends."""
        await websocket.accept()
        try:
            with self._pending.hold():
                source = await self._find_source(websocket)
            if source is None:
                return
            with self._watching.hold(), source.watch() as watcher:
                self._record(websocket, SecurityEvent.CAPTIONS_WATCHED)
                await self._send_captions(websocket, watcher)
        except WebSocketDisconnect:
            return
        except AnchorError as error:
            ERRORS.labels(error.code).inc()
            if isinstance(error, Denied):
                self._record(websocket, SecurityEvent.REFUSED, error.code)
            await self._close(websocket, error)

    async def _find_source(self, websocket: WebSocket) -> CaptionFeed | None:
        """Read the first frame; None when the watcher disconnected instead. Raises `AnchorError`."""
        try:
            async with asyncio.timeout(self._limits.first_message_timeout_s):
                frame = await websocket.receive()
        except TimeoutError as error:
            raise InvalidRequest("watch.bad_message", "no key arrived in time") from error
        if frame["type"] == "websocket.disconnect":
            return None
        return self._sessions.find_captions(watch_key_in(frame.get("text")))

    async def _send_captions(self, websocket: WebSocket, watcher: CaptionWatcher) -> None:
        """Send captions until the session ends, or the watcher leaves or sends anything. Raises `AnchorError`."""

        async def wait_for_frame() -> None:
            frame = await websocket.receive()
            if frame["type"] != "websocket.disconnect":
                raise InvalidRequest("watch.bad_message", "a watcher sends nothing but its key")
            raise WebSocketDisconnect

        async def send() -> None:
            while (caption := await watcher.next()) is not None:
                try:
                    async with asyncio.timeout(self._limits.watcher_send_timeout_s):
                        await websocket.send_json({"type": "caption", **asdict(caption)})
                except TimeoutError as error:
                    raise AtCapacity("watch.too_slow", "a write to the watcher timed out") from error
            raise NotReady("watch.session_over", "the session is over; connect again when the next one runs")

        await run_together(wait_for_frame(), send())

    def _record(self, websocket: WebSocket, event: SecurityEvent, code: str = "") -> None:
        address = self._secret_check.address_of(*peer_of(websocket.scope))
        self._secret_check.audit.record(event, address=address, code=code)

    async def _close(self, websocket: WebSocket, error: AnchorError) -> None:
        """Say why, and close; give up on a watcher that does not read."""
        fields = {"code": error.code, "message": error.message, "retryable": error.retryable}
        try:
            async with asyncio.timeout(self._limits.close_timeout_s):
                await websocket.send_json({"type": "error", **fields})
                await websocket.close(error.websocket_close_code, error.code)
        except (TimeoutError, WebSocketDisconnect):
            log.info("watcher abandoned", extra={"code": error.code})


def watch_key_in(text: object) -> str:
    """The key in the first frame. Raises `InvalidRequest`."""
    try:
        message = parse_json(text) if isinstance(text, str) else None
    except ValueError:
        message = None
    if isinstance(message, dict) and message.keys() == {"type", "key"} and message["type"] == "watch":
        key = message["key"]
        if isinstance(key, str) and len(key) <= _MAX_KEY_CHARS:
            return key
    raise InvalidRequest("watch.bad_message", 'the first frame must be {"type": "watch", "key": "watch_…"}')


def routes(sessions: Sessions, limits: ApiLimits, secret_check: SecretCheck) -> APIRouter:
    """Return the router of `/ws/captions`."""
    router = APIRouter()
    api = CaptionApi(sessions, limits, secret_check)

    @router.websocket(PATH)
    async def watch(websocket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await api.serve(websocket)

    return router
