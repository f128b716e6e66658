"""Downloads one file over HTTP: resumes after a break, bounds the size, and checks the format of the first bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO

import httpx
from service_kit.errors import AnchorError, EngineFailed, PeerFailed

from anchor_cli.model_store.refusals import describe_error, refused
from anchor_cli.model_store.weights_format import HEAD_BYTES, check_format

# Maximum size of a file whose size the lock does not state.
MAX_FILE_BYTES = 64 << 30
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RETRYABLE = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}

# Receives the bytes present and the total bytes of the file.
OnProgress = Callable[[int, int], None]


class FetchStopped(AnchorError):
    """The user stopped the fetch; what has arrived is kept."""

    def __init__(self) -> None:
        super().__init__("models.stopped", "stopped")


@dataclass(slots=True)
class Download:
    """Downloads the file `path` from `url` into `part`; `commit` is the revision that the hub reports.

    `size_bytes` is 0 while it is unknown. `max_idle` bounds consecutive attempts without progress.
    """

    client: httpx.Client
    url: str
    path: str
    size_bytes: int
    part: Path
    on_progress: OnProgress
    free_bytes: Callable[[], int]
    sleep: Callable[[float], None] = time.sleep
    max_idle: int = 5
    # False for a file of known hash, whose format then needs no check.
    checks_format: bool = True
    # A larger file is refused before it is fetched.
    max_bytes: int = MAX_FILE_BYTES
    # A file that the hub states to have another hash is refused before it is fetched; empty while it is unknown.
    sha256: str = ""
    # The hub and the repository that a refusal names; empty for other servers.
    hub_url: str = ""
    repository: str = ""
    commit: str = field(default="", init=False)
    _total: int = field(default=0, init=False)

    def run(self) -> None:
        """Download the file into `part`. Raises `PeerFailed` when the hub fails, `EngineFailed` for an invalid file.

        What `on_progress` raises, such as `FetchStopped`, passes through; the part then stays.
        """
        idle = 0
        while True:
            before = self._part_size()
            try:
                self._attempt(before)
            except httpx.HTTPError as error:
                idle = 0 if self._part_size() > before else idle + 1
                if idle == self.max_idle:
                    raise PeerFailed(
                        "models.not_fetched", f"cannot fetch {self.url}: {describe_error(error)}"
                    ) from error
                self.sleep(min(2.0**idle, 30.0))
            else:
                return

    def _attempt(self, here: int) -> None:
        """Make one request. Raises `httpx.HTTPError` for retryable failures."""
        if self.size_bytes and here == self.size_bytes:
            return
        headers = {"Range": f"bytes={here}-"} if here else {}
        with self.client.stream("GET", self.url, headers=headers) as response:
            self.commit = self.commit or _header(response, "x-repo-commit")
            self._check_stated_hash(response)
            match response.status_code:
                case HTTPStatus.PARTIAL_CONTENT if _begins_at(response, here):
                    self._receive(response, here)
                case HTTPStatus.OK:
                    self._receive(response, 0)
                case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE | HTTPStatus.PARTIAL_CONTENT:
                    self.part.unlink(missing_ok=True)
                    raise httpx.RemoteProtocolError("the hub does not serve the requested range")
                case status if status in _RETRYABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise httpx.RemoteProtocolError(f"HTTP {status}")
                case _:
                    raise self._refused(response)

    def _refused(self, response: httpx.Response) -> PeerFailed:
        if self.repository:
            return refused(response, self.hub_url, self.repository, self.url)
        return PeerFailed("models.not_fetched", f"HTTP {response.status_code} at {self.url}")

    def _check_stated_hash(self, response: httpx.Response) -> None:
        """Raise `EngineFailed` when the hub states that this is not the file that is wanted."""
        stated = _header(response, "x-linked-etag").removeprefix("W/").strip('"')
        if self.sha256 and _SHA256.fullmatch(stated) and stated != self.sha256:
            self.part.unlink(missing_ok=True)
            raise EngineFailed("models.mismatch", f"{self.path} has another hash there, {stated[:12]}...; not fetched")

    def _receive(self, response: httpx.Response, start: int) -> None:
        most = self._expected_size(response, start)
        here, head = start, self._read_head() if start else b""
        with self._open_part(start) as part:
            # Unbuffered: a buffered chunk would be lost when the connection breaks.
            for chunk in response.iter_raw():
                here += len(chunk)
                if here > most:
                    raise EngineFailed("models.too_large", f"{self.path} is larger than the expected {most} bytes")
                if len(head) < HEAD_BYTES:
                    head += chunk[: HEAD_BYTES - len(head)]
                    if len(head) == HEAD_BYTES:
                        self._check_format(head)
                part.write(chunk)
                self.on_progress(here, most)
        if here < most:
            raise httpx.RemoteProtocolError(f"the response ended after {here} of {most} bytes")
        self._check_format(head)

    def _expected_size(self, response: httpx.Response, start: int) -> int:
        """Size of the whole file in bytes: from the lock, else from the response."""
        length = response.headers.get("content-length", "")
        if self.size_bytes:
            if length.isdecimal() and (found := start + int(length)) != self.size_bytes:
                self.part.unlink(missing_ok=True)
                code = "models.too_large" if found > self.size_bytes else "models.mismatch"
                raise EngineFailed(code, f"{self.path} has {found} bytes there, not {self.size_bytes}")
            return self.size_bytes
        if not length.isdecimal():
            raise EngineFailed("models.too_large", f"the hub reports no acceptable size for {self.path}")
        if (size := start + int(length)) > self.max_bytes:
            limit = f"at most {self.max_bytes / 1e9:.1f} GB are expected"
            raise EngineFailed("models.too_large", f"{self.path} has {size / 1e9:.1f} GB there, and {limit}")
        if int(length) > self.free_bytes():
            raise EngineFailed("models.no_space", f"{self.path} has {int(length) / 1e9:.1f} GB, more than is free")
        return start + int(length)

    @contextmanager
    def _open_part(self, start: int) -> Generator[IO[bytes]]:
        """Open `part` for writing from `start`; deletes it when the content turns out to be invalid."""
        try:
            with self.part.open("ab" if start else "wb") as part:
                yield part
        except EngineFailed:
            self.part.unlink(missing_ok=True)
            raise

    def _check_format(self, head: bytes) -> None:
        if self.checks_format:
            check_format(self.path, head)

    def _part_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _read_head(self) -> bytes:
        with self.part.open("rb") as part:
            return part.read(HEAD_BYTES)


def _begins_at(response: httpx.Response, start: int) -> bool:
    return response.headers.get("content-range", "").startswith(f"bytes {start}-")


def _header(response: httpx.Response, name: str) -> str:
    """A header of the hub's response, which may precede a redirect; empty when absent."""
    answers = [*response.history, response]
    return next((str(value) for answer in answers if (value := answer.headers.get(name))), "")
