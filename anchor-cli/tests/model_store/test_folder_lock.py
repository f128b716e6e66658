"""One fetch at a time writes to a models folder."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest
from anchor_cli.model_store.folder_lock import hold_folder
from service_kit.errors import EngineFailed


def test_second_fetch_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = Event()

    def report(line: str) -> None:
        order.append(line)
        waiting.set()

    def second() -> None:
        with hold_folder(tmp_path, report):
            order.append("second")

    thread = Thread(target=second)
    with hold_folder(tmp_path, order.append):
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == [f"another fetch writes to {tmp_path}; waiting for it", "first", "second"]


def test_waiting_ends(tmp_path: Path) -> None:
    with hold_folder(tmp_path, print), pytest.raises(EngineFailed) as refused, hold_folder(tmp_path, print, wait_s=0.3):
        pass
    assert refused.value.code == "models.busy"


def test_folder_is_created_and_cleared_of_abandoned_downloads(tmp_path: Path) -> None:
    abandoned = tmp_path / "models/.carriers/.fetch-x/tmp"
    abandoned.mkdir(parents=True)
    (tmp_path / "models/.carriers/kept.whl").write_bytes(b"kept")
    with hold_folder(tmp_path / "models", print):
        assert [path.name for path in (tmp_path / "models/.carriers").iterdir()] == ["kept.whl"]
    with hold_folder(tmp_path / "other/models", print):
        assert (tmp_path / "other/models").is_dir()
