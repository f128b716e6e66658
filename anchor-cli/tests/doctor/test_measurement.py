"""The measurement of a machine, with small programs in place of the services' own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from anchor_cli.doctor.command import measure_first_start
from anchor_cli.doctor.measurement import measure_machine, measure_module, parse_speeds, profile_path
from anchor_cli.settings import MeshSettings
from rich.console import Console
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, read_profile, write_profile
from service_kit.errors import EngineFailed
from service_kit.resources import MachineResources

RESOURCES = MachineResources(4, 2, None, 8 * 2**30, None)
FAST = """
import json, sys
print("a log line", file=sys.stderr)
print("loading")
print(json.dumps({"whisper-base": {"first_result_s": 0.27, "real_time_factor": 0.09}}))
"""
VOICE = 'print(\'{"hibari": {"first_result_s": 0.04, "real_time_factor": 1}}\')'
# A worker process that holds the output open.
SLOW = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid))
time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path: Path) -> MeshSettings:
    for name, text in {"fast": FAST, "voice": VOICE, "slow": SLOW, "broken": "raise SystemExit('no model')"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return MeshSettings(root=tmp_path, models="default")


def test_measured_engines_are_written_and_reported(settings: MeshSettings) -> None:
    lines: list[str] = []
    profile = measure_machine(settings, RESOURCES, lines.append, modules=("fast", "voice"))
    expected = {"whisper-base": EngineSpeed(0.27, 0.09), "hibari": EngineSpeed(0.04, 1.0)}
    assert read_profile(profile_path(settings)) == profile == MachineProfile(2, 8 * 2**30, expected)
    assert lines == [
        "whisper-base: 0.27 s to the first result, 0.09 s per second of speech",
        "hibari: 0.04 s to the first result, 1.00 s per second of speech",
    ]


def test_program_that_fails_leaves_the_others(settings: MeshSettings) -> None:
    lines: list[str] = []
    profile = measure_machine(settings, RESOURCES, lines.append, modules=("broken", "no_such_module", "voice"))
    assert set(profile.engines) == {"hibari"}
    assert lines[0] == "broken: not measured: no model"
    assert "No module named no_such_module" in lines[1]


def test_slow_measurement_ends_with_its_workers(settings: MeshSettings) -> None:
    began_s = time.monotonic()
    with pytest.raises(EngineFailed, match="not measured in the 4 s left"):
        measure_module("slow", settings.root, 4)
    assert time.monotonic() - began_s < 20
    worker = int((settings.root / "child").read_text())
    until_s = time.monotonic() + 10
    while _is_running(worker):
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_slow_measurement_counts_what_it_had_in_time(settings: MeshSettings) -> None:
    (settings.root / "half.py").write_text(f"{FAST}\nsys.stdout.flush()\nimport time\ntime.sleep(60)")
    assert measure_module("half", settings.root, 4) == {"whisper-base": EngineSpeed(0.27, 0.09)}


def _is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return False


@pytest.mark.parametrize(
    "output",
    [
        "",
        "done",
        "[]",
        "null",
        '{"x": 3}',
        '{"x": {"first_result_s": 1}}',
        '{"x": {"first_result_s": -1, "real_time_factor": 1}}',
        '{"x": {"first_result_s": NaN, "real_time_factor": 1}}',
        '{"x": {"first_result_s": "1", "real_time_factor": 1}}',
    ],
)
def test_other_output_is_refused(output: str) -> None:
    with pytest.raises(EngineFailed):
        parse_speeds(output)


def test_first_start_measures_once(settings: MeshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[float] = []

    def measure(settings: MeshSettings, resources: object, report: object, *, within_s: float) -> None:
        measured.append(within_s)
        write_profile(profile_path(settings), MachineProfile(2, 2**30))

    monkeypatch.setattr("anchor_cli.doctor.command.measure_machine", measure)
    console = Console(width=200)
    with console.capture() as captured:
        measure_first_start(console, settings)
        measure_first_start(console, settings)
    assert measured == [30]
    assert captured.get().splitlines() == ["measuring the engines on this machine, 30 s at most ..."]


@pytest.mark.parametrize("changes", [{"models": "minimal"}, {"profile": "gpu"}, {"script": Path("script.toml")}])
def test_first_start_measures_only_what_the_profile_needs(settings: MeshSettings, changes: dict[str, object]) -> None:
    measure_first_start(Console(), settings.model_copy(update=changes))
    assert not profile_path(settings).exists()


def test_folder_without_write_access_is_reported(settings: MeshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("anchor_cli.doctor.command.measure_machine", refuse)
    console = Console(width=200)
    with console.capture() as captured:
        measure_first_start(console, settings)
    assert "the machine profile cannot be written: read-only" in captured.get()
