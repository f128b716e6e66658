"""One file of a hub, over HTTP: resumed where it broke, bounded by its size, refused when it begins wrongly."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO

import httpx
from service_kit.engines.hub import HubFile
from service_kit.errors import EngineFailed, PeerFailed

from anchor_cli.model_store.weights_format import HEAD_BYTES, check_format

# Attempts that bring nothing, before giving up; each that brings something begins the count anew.
_IDLE_ATTEMPTS = 5
# Of a file whose size nobody knows beforehand.
_MOST_BYTES = 64 << 30
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}

# Gets how many bytes of the file are here, and how many there will be.
Advance = Callable[[int, int], None]


@dataclass(slots=True)
class Download:
    """Fetches `file` from `url` into `part`. `commit` is the revision that the hub says it is of, once it answered."""

    client: httpx.Client
    url: str
    file: HubFile
    part: Path
    advance: Advance
    free_bytes: Callable[[], int]
    sleep: Callable[[float], None] = time.sleep
    commit: str = field(default="", init=False)
    _total: int = field(default=0, init=False)

    def run(self) -> None:
        """Have all of the file in `part`. Raises `PeerFailed` for a hub that fails, `EngineFailed` for a bad file."""
        idle = 0
        while True:
            before = self._here()
            try:
                self._attempt(before)
            except httpx.HTTPError as error:
                idle = 0 if self._here() > before else idle + 1
                if idle == _IDLE_ATTEMPTS:
                    raise PeerFailed("models.not_fetched", f"cannot fetch {self.url}: {_reason(error)}") from error
                self.sleep(min(2.0**idle, 30.0))
            else:
                return

    def _attempt(self, here: int) -> None:
        """One request. Raises `httpx.HTTPError` for what may go better next time."""
        if self.file.size_bytes and here == self.file.size_bytes:
            return
        headers = {"Range": f"bytes={here}-"} if here else {}
        with self.client.stream("GET", self.url, headers=headers) as response:
            self.commit = self.commit or _commit(response)
            match response.status_code:
                case HTTPStatus.PARTIAL_CONTENT if _begins_at(response, here):
                    self._take(response, here)
                case HTTPStatus.OK:
                    self._take(response, 0)
                case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE | HTTPStatus.PARTIAL_CONTENT:
                    self.part.unlink(missing_ok=True)
                    raise httpx.RemoteProtocolError("the hub has no such part of the file")
                case status if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise httpx.RemoteProtocolError(f"HTTP {status}")
                case status:
                    raise PeerFailed("models.not_fetched", f"HTTP {status} at {self.url}{advice(response)}")

    def _take(self, response: httpx.Response, start: int) -> None:
        most = self._size(response, start)
        here, head = start, self._head() if start else b""
        with self._opened(start) as part:
            # As the chunks come: what waits for more of its kind is lost when the connection breaks.
            for chunk in response.iter_raw():
                here += len(chunk)
                if here > most:
                    raise EngineFailed("models.too_large", f"{self.file.path} is more than the {most} bytes it may be")
                if len(head) < HEAD_BYTES:
                    head += chunk[: HEAD_BYTES - len(head)]
                    if len(head) == HEAD_BYTES:
                        check_format(self.file.path, head)
                part.write(chunk)
                self.advance(here, most)
        if here < most:
            raise httpx.RemoteProtocolError(f"the hub ended after {here} of {most} bytes")
        check_format(self.file.path, head)

    def _size(self, response: httpx.Response, start: int) -> int:
        """How large the whole file must be: as the lock says, or else as the hub does."""
        if self.file.size_bytes:
            return self.file.size_bytes
        told = response.headers.get("content-length", "")
        if not told.isdecimal() or start + int(told) > _MOST_BYTES:
            raise EngineFailed("models.too_large", f"the hub does not say how large {self.file.path} is, or it is huge")
        if int(told) > self.free_bytes():
            raise EngineFailed("models.no_space", f"{self.file.path} is {int(told) / 1e9:.1f} GB, more than are free")
        return start + int(told)

    @contextmanager
    def _opened(self, start: int) -> Generator[IO[bytes]]:
        """The part, to be written from `start` on; gone when what came can never become the file."""
        try:
            with self.part.open("ab" if start else "wb") as part:
                yield part
        except EngineFailed:
            self.part.unlink(missing_ok=True)
            raise

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _head(self) -> bytes:
        with self.part.open("rb") as part:
            return part.read(HEAD_BYTES)


def _begins_at(response: httpx.Response, start: int) -> bool:
    return response.headers.get("content-range", "").startswith(f"bytes {start}-")


def _commit(response: httpx.Response) -> str:
    """The revision that the hub names; on its own answer, before it sent us elsewhere."""
    answers = [*response.history, response]
    return next((str(commit) for answer in answers if (commit := answer.headers.get("x-repo-commit"))), "")


def advice(response: httpx.Response) -> str:
    """What helps against a refusal of the hub, to be put behind it; empty where that is not known."""
    match response.status_code:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return ": the model asks for a licence to be accepted on the hub, and for ANCHOR_MODELS_HUB_TOKEN"
        case HTTPStatus.NOT_FOUND:
            return ": the repository has no such file at this revision"
        case _:
            return ""


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
