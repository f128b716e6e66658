"""One fetch at a time writes to a models folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from service_kit.errors import EngineFailed

from anchor_cli.model_store.downloads import CARRIERS

_WAIT_S = 600.0
_POLL_S = 0.2


@contextmanager
def hold_folder(folder: Path, report: Callable[[str], None], wait_s: float = _WAIT_S) -> Generator[None]:
    """Hold the models folder, which is created; deletes what an aborted package client left there.

    Waits for another fetch. Raises `EngineFailed` (`models.busy`) when that one does not end within `wait_s`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(held, folder, report, wait_s)
        for abandoned in (folder / CARRIERS).glob(".fetch-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        yield
    finally:
        os.close(held)


def _lock(held: int, folder: Path, report: Callable[[str], None], wait_s: float) -> None:
    until, said = time.monotonic() + wait_s, False
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise EngineFailed("models.busy", f"another fetch still writes to {folder}") from error
            if not said:
                report(f"another fetch writes to {folder}; waiting for it")
                said = True
            time.sleep(_POLL_S)
        else:
            return
