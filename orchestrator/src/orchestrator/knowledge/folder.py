"""Indexes the knowledge folder, and follows files that are added, changed or removed while the service runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from service_kit.errors import InvalidRequest

from orchestrator.knowledge.index import PassageIndex
from orchestrator.knowledge.passages import Passage, read_passage
from orchestrator.knowledge.sample_questions import sample_questions

MAX_FILES = 2000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    """A file as last read: `state` is its mtime in ns and its size; `passage` is None if it never had a valid one."""

    state: tuple[int, int]
    passage: Passage | None


_Files = Mapping[str, _File]


class KnowledgeFolder:
    """Index of the passages in a folder, which is rescanned at most every `rescan_s` seconds.

    An invalid file raises an error at the start (`load`). Later it is logged once, and the file's last valid passage
    stays in the index.
    """

    def __init__(self, path: Path, rescan_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._rescan_s = rescan_s
        self._clock = clock
        self._scan_lock = asyncio.Lock()
        self._scanned_at_s: float | None = None
        self._files: _Files = {}
        self._index = PassageIndex(())
        # Questions to begin with, by language, of the files as last read.
        self.sample_questions: Mapping[str, tuple[str, ...]] = {}

    def load(self) -> None:
        """Read the folder, blocking. Raises `InvalidRequest` when a file is invalid or the folder cannot be read."""
        files, problems = self._read({})
        if problems:
            raise problems[0]
        self._replace(files, _index_of(files))

    async def current_index(self) -> PassageIndex:
        """Return the current index; rescans the folder on another thread when that is due."""
        async with self._scan_lock:
            if self._scanned_at_s is None or self._clock() - self._scanned_at_s >= self._rescan_s:
                await self._rescan()
        return self._index

    async def _rescan(self) -> None:
        try:
            files, problems = await asyncio.to_thread(self._read, self._files)
        except InvalidRequest as problem:
            self._scanned_at_s = self._clock()
            log.warning("reading the knowledge folder failed", extra={"reason": problem.message})
            return
        for problem in problems:
            log.warning("reading a knowledge file failed", extra={"reason": problem.message})
        if files == self._files:
            self._scanned_at_s = self._clock()
            return
        # Replaced here and not on the thread, which continues when the reply that awaits it is cancelled.
        self._replace(files, await asyncio.to_thread(_index_of, files))
        log.info("knowledge folder reloaded", extra={"passages": len(self._index.passages)})

    def _replace(self, files: _Files, index: PassageIndex) -> None:
        self._files = files
        self._index = index
        self.sample_questions = sample_questions(index.passages)
        self._scanned_at_s = self._clock()

    def _read(self, known: _Files) -> tuple[_Files, list[InvalidRequest]]:
        """Read the files, taking unchanged ones from `known`; also return the errors of changed files."""
        files: dict[str, _File] = {}
        problems: list[InvalidRequest] = []
        for passage_id, state in self._list_files():
            before = known.get(passage_id)
            if before and before.state == state:
                files[passage_id] = before
                continue
            passage = before.passage if before else None
            try:
                passage = read_passage(self._path / f"{passage_id}.md", passage_id)
            except InvalidRequest as problem:
                problems.append(problem)
            except OSError as error:
                problems.append(InvalidRequest("knowledge.unreadable", f"{passage_id}.md: {error.strerror}"))
            files[passage_id] = _File(state, passage)
        return files, problems

    def _list_files(self) -> list[tuple[str, tuple[int, int]]]:
        """Return the id and state of each passage's file, sorted by id."""
        if not self._path.is_dir():
            raise InvalidRequest("knowledge.unreadable", f"{self._path}: no such folder")
        listing: list[tuple[str, tuple[int, int]]] = []
        for path in self._path.rglob("*.md"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # removed since the folder was listed
            if len(listing) == MAX_FILES:
                raise InvalidRequest("knowledge.too_large", f"{self._path}: more than {MAX_FILES} files")
            listing.append((path.relative_to(self._path).with_suffix("").as_posix(), (stat.st_mtime_ns, stat.st_size)))
        return sorted(listing)


def _index_of(files: _Files) -> PassageIndex:
    return PassageIndex(file.passage for file in files.values() if file.passage)
