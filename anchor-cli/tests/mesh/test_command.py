"""The up command: signals and failures."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from anchor_cli.mesh.command import run_mesh, run_until_stopped
from anchor_cli.settings import MeshSettings
from service_kit.errors import EngineFailed, PeerFailed, root_cause


@pytest.fixture
def toy_services(short_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a module with this source for every service; returns their folder."""
    # Coverage would confuse the toy modules with the services of the same names.
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)

    def write(source: str) -> Path:
        for name in ("vad_service", "stt_service", "tts_service", "gpu_monitor", "orchestrator"):
            (short_root / f"{name}.py").write_text(source)
        return short_root

    return write


async def test_work_ends_when_stop_is_set() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await run_until_stopped(stop, asyncio.sleep(60))


async def test_exception_of_work_propagates() -> None:
    async def work() -> None:
        raise EngineFailed("x.y", "broke")

    with pytest.raises(EngineFailed, match="broke"):
        await run_until_stopped(asyncio.Event(), work())


async def test_failed_start_names_service_and_reason(toy_services, ports, console) -> None:
    root = toy_services("raise SystemExit('no such model')")
    with pytest.raises(ExceptionGroup) as raised:
        await run_mesh(MeshSettings(root=root, drain_s=0, **ports), console, self_test=True)
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    text = console.export_text()
    assert "does not start" in cause.message
    assert "no such model" in text


async def test_signal_stops_a_starting_mesh(toy_services, ports, console, tmp_path) -> None:
    begun = tmp_path / "begun"
    root = toy_services(f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(600)")

    async def stop_once_begun() -> None:
        while not begun.exists():
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_once_begun())
        await run_mesh(MeshSettings(root=root, drain_s=0, **ports), console, self_test=True)
    assert "no process is left" in console.export_text()
