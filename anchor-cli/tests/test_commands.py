"""The commands as a person meets them: what is printed, how they exit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from anchor_cli.app import app
from anchor_cli.client.demo import run_demo
from anchor_cli.console import render_turn
from anchor_cli.mesh.command import run_mesh, run_self_test, run_until_stopped
from anchor_cli.mesh.readiness import ServiceState
from anchor_cli.mesh.start_progress import show_start_progress
from anchor_cli.settings import MeshSettings
from rich.console import Console
from service_kit.audio import MICROPHONE
from service_kit.errors import EngineFailed, PeerFailed, root_cause
from typer.testing import CliRunner


@pytest.fixture
def console() -> Console:
    return Console(width=120, record=True, file=Path(os.devnull).open("w"))


@pytest.fixture(autouse=True)
def closed(console: Console):
    yield
    console.file.close()


@pytest.fixture
def stand_ins(short_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a module of this source in the place of every service, and returns the folder to start them in."""
    # Coverage would take the stand-ins for the services whose names they bear.
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)

    def write(source: str) -> Path:
        for name in ("vad_service", "stt_service", "tts_service", "gpu_monitor", "orchestrator"):
            (short_root / f"{name}.py").write_text(source)
        return short_root

    return write


@pytest.fixture
def wav(tmp_path: Path, question: bytes) -> Path:
    path = tmp_path / "question.wav"
    soundfile.write(path, memoryview(question).cast("h"), MICROPHONE.rate_hz)
    return path


async def test_a_demo_prints_the_conversation_and_writes_the_reply(anchor, console, wav, tmp_path) -> None:
    async with anchor() as double:
        settings = MeshSettings(orchestrator_http_port=double.port)
        await run_demo(settings, console, wav, tmp_path / "reply.wav", "en")
    text = console.export_text()
    for words in ("… how", "you     how is the weather", "[double] Sunny all weekend.", "gpu.tight", "silence noticed"):
        assert words in text
    samples, rate_hz = soundfile.read(tmp_path / "reply.wav", dtype="int16")
    assert (len(samples), rate_hz) == (4800, 24_000)


async def test_a_turn_without_a_waterfall_says_so(anchor, console, wav, tmp_path) -> None:
    async with anchor(waterfall=False) as double:
        turn = await run_self_test(MeshSettings(orchestrator_http_port=double.port, self_test_wav=wav))
    console.print(render_turn(turn))
    assert "sent no waterfall" in console.export_text()


@pytest.mark.parametrize(
    ("manners", "words"), [({"manner": "fail"}, "llm.gone: nobody thinks"), ({"heard": ""}, "no words")]
)
async def test_a_self_test_that_fails_says_why(anchor, wav, manners, words: str) -> None:
    async with anchor(**manners) as double:
        settings = MeshSettings(orchestrator_http_port=double.port, self_test_wav=wav)
        with pytest.raises(PeerFailed, match=words) as raised:
            await run_self_test(settings)
    assert raised.value.code == "mesh.self_test_failed"


async def test_a_self_test_without_its_recording_names_the_file(tmp_path) -> None:
    with pytest.raises(Exception, match=r"missing\.wav") as raised:
        await run_self_test(MeshSettings(self_test_wav=tmp_path / "missing.wav"))
    assert "sound.unreadable" in str(root_cause(raised.value))


async def test_work_ends_when_stop_is_set() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await run_until_stopped(stop, asyncio.sleep(60))


async def test_work_that_fails_is_not_hidden_by_waiting_for_a_stop() -> None:
    async def work() -> None:
        raise EngineFailed("x.y", "broke")

    with pytest.raises(EngineFailed, match="broke"):
        await run_until_stopped(asyncio.Event(), work())


async def test_a_mesh_without_its_services_says_which_one_and_why(stand_ins, ports, console) -> None:
    root = stand_ins("raise SystemExit('no such model')")
    with pytest.raises(ExceptionGroup) as raised:
        await run_mesh(MeshSettings(root=root, drain_s=0, **ports), console, self_test=True)
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    text = console.export_text()
    assert "does not start" in cause.message
    assert "no such model" in text


async def test_a_signal_stops_what_is_still_starting(stand_ins, ports, console, tmp_path) -> None:
    begun = tmp_path / "begun"
    root = stand_ins(f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(600)")

    async def stop_once_begun() -> None:
        while not begun.exists():
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_once_begun())
        await run_mesh(MeshSettings(root=root, drain_s=0, **ports), console, self_test=True)
    assert "no process is left" in console.export_text()


@pytest.mark.parametrize("terminal", [True, False])
def test_services_are_shown_as_they_get_ready(terminal: bool) -> None:
    console = Console(width=100, force_terminal=terminal, record=True)
    with show_start_progress(console) as show:
        show({"stt": ServiceState()})
        show({"stt": ServiceState("ready", "pocketsphinx", "en-us", "", 2.5)})
        show({"stt": ServiceState("ready", "pocketsphinx", "en-us", "", 2.5)})
    text = console.export_text()
    assert "2.5 s" in text
    assert "pocketsphinx" in text


def test_settings_that_do_not_fit_are_named_and_exit_2() -> None:
    result = CliRunner().invoke(app, ["up"], env={"STT_GRPC_PORT": "99999", "COLUMNS": "200"})
    assert result.exit_code == 2
    assert "stt_grpc_port" in result.output


def test_an_unknown_profile_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up", "--profile", "quantum"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "embedded" in result.output


def test_a_demo_without_a_mesh_exits_1_and_says_so(wav, free_port) -> None:
    result = CliRunner().invoke(app, ["demo", str(wav)], env={"ORCHESTRATOR_HTTP_PORT": str(free_port())})
    assert result.exit_code == 1
    assert "no anchor responds" in result.output


def test_a_lock_of_models_that_is_not_there_exits_1(tmp_path) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(tmp_path / "none.lock"), "ANCHOR_MODELS_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["models"], env=environment)
    assert result.exit_code == 1
    assert "models.no_lock" in result.output
