"""The measurement of a machine, with small programs in place of the services' own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, ModelSpeed, read_profile, write_profile
from service_kit.engines.measurement import (
    Speeds,
    measure_machine,
    measure_missing,
    measure_module,
    parse_speeds,
    unmeasured_engines,
)
from service_kit.errors import EngineFailed
from service_kit.resources import MachineResources, read_resources
from service_kit.settings import ServiceSettings

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


LANGUAGE_MODEL = 'print(\'{"local-llm": {"first_token_s": 0.4, "tokens_per_s": 9.5}}\')'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    programs = {"fast": FAST, "voice": VOICE, "slow": SLOW, "broken": "raise SystemExit('no model')"}
    for name, text in {**programs, "language_model": LANGUAGE_MODEL}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def measure(folder: Path, *modules: str, known: MachineProfile | None = None) -> tuple[MachineProfile, list[str]]:
    lines: list[str] = []
    profile = measure_machine(
        folder / "machine.json", RESOURCES, lines.append, folder=folder, within_s=60, modules=modules, known=known
    )
    return profile, lines


def test_measured_engines_are_written_and_reported(folder: Path) -> None:
    profile, lines = measure(folder, "fast", "voice", "language_model")
    expected = {"whisper-base": EngineSpeed(0.27, 0.09), "hibari": EngineSpeed(0.04, 1.0)}
    language_models = {"local-llm": ModelSpeed(0.4, 9.5)}
    assert profile == MachineProfile(2, 8 * 2**30, expected, language_models)
    assert read_profile(folder / "machine.json") == profile
    assert lines == [
        "whisper-base: 0.27 s to the first result, 0.09 s per second of speech",
        "hibari: 0.04 s to the first result, 1.00 s per second of speech",
        "local-llm: 0.40 s to the first token over a prepared passage, 9.5 tokens per second",
    ]


def test_known_speeds_stay_beside_new_ones(folder: Path) -> None:
    known = MachineProfile(2, 1, {"espeak": EngineSpeed(1, 1), "hibari": EngineSpeed(1, 1)}, {"x": ModelSpeed(1, 1)})
    profile, _ = measure(folder, "voice", known=known)
    assert profile.engines == {"espeak": EngineSpeed(1, 1), "hibari": EngineSpeed(0.04, 1.0)}
    assert profile.language_models == known.language_models


def test_program_that_fails_leaves_the_others(folder: Path) -> None:
    profile, lines = measure(folder, "broken", "no_such_module", "voice")
    assert set(profile.engines) == {"hibari"}
    assert lines[0] == "broken: not measured: no model"
    assert "No module named no_such_module" in lines[1]


def test_slow_measurement_ends_with_its_workers(folder: Path) -> None:
    began_s = time.monotonic()
    with pytest.raises(EngineFailed, match="not measured in the 4 s left"):
        measure_module("slow", folder, 4)
    assert time.monotonic() - began_s < 20
    worker = int((folder / "child").read_text())
    until_s = time.monotonic() + 10
    while _is_running(worker):
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_slow_measurement_counts_what_it_had_in_time(folder: Path) -> None:
    (folder / "half.py").write_text(f"{FAST}\nsys.stdout.flush()\nimport time\ntime.sleep(60)")
    assert measure_module("half", folder, 4) == Speeds({"whisper-base": EngineSpeed(0.27, 0.09)})


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
        '{"x": {"first_result_s": true, "real_time_factor": 1}}',
        '{"x": {"tokens_per_s": 3}}',
        '{"x": {"first_token_s": 1, "tokens_per_s": Infinity}}',
        "[" * 50_000,
    ],
)
def test_other_output_is_refused(output: str) -> None:
    with pytest.raises(EngineFailed):
        parse_speeds(output)


INSTALLED = "def installed_engines():\n    return {}\nif __name__ == '__main__':\n    print('''{}''')\n"
VOICES = ["espeak", "kokoro:es", "kokoro:fr"]


@pytest.fixture
def voices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with eSpeak and two languages of Kokoro, of which it measures one."""
    speeds = '{"espeak": {"first_result_s": 1, "real_time_factor": 1}, "kokoro:es": {"first_result_s": 1, '
    text = INSTALLED.format(VOICES, speeds + '"real_time_factor": 1}}')
    (folder / "measured_voices.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    return "measured_voices"


def kit_settings(folder: Path, **changes: object) -> ServiceSettings:
    values = {"profile": "embedded", "models": "default", "machine_profile": folder / "machine.json", **changes}
    return ServiceSettings(grpc_port=0, http_port=0, **values)  # pyright: ignore[reportArgumentType]


def test_engines_that_are_installed_and_have_no_row_are_named(voices: str) -> None:
    profile = MachineProfile(2, 1, {"espeak": EngineSpeed(1, 1), "kokoro:fr": EngineSpeed(1, 1)})
    assert unmeasured_engines(profile, (voices, "no_such_module")) == ["kokoro:es"]
    assert unmeasured_engines(None, (voices,)) == VOICES


def test_a_container_measures_what_the_profile_lacks_once(folder: Path, voices: str) -> None:
    lines: list[str] = []
    ears = {"whisper-base": EngineSpeed(0.27, 0.09)}
    write_profile(folder / "machine.json", MachineProfile(read_resources().cores, 1, ears))
    measure_missing(kit_settings(folder), [voices], lines.append)
    profile = read_profile(folder / "machine.json")
    assert profile is not None
    assert set(profile.engines) == {"whisper-base", "espeak", "kokoro:es"}
    assert lines[0] == "measuring espeak, kokoro:es, kokoro:fr, 30 s at most"
    # A start that could not measure it in time is not repeated.
    assert lines[-1] == "not measured, and not tried again with this profile: kokoro:fr"
    assert profile.given_up == ("kokoro:fr",)
    lines.clear()
    measure_missing(kit_settings(folder), [voices], lines.append)
    assert lines == ["nothing to measure: the machine profile has the installed engines"]


def test_a_container_on_other_cores_measures_anew(folder: Path, voices: str) -> None:
    rows = {name: EngineSpeed(1, 1) for name in ("whisper-base", *VOICES)}
    write_profile(folder / "machine.json", MachineProfile(read_resources().cores + 1, 1, rows))
    measure_missing(kit_settings(folder), [voices], lambda _: None)
    profile = read_profile(folder / "machine.json")
    assert profile is not None
    assert set(profile.engines) == {"espeak", "kokoro:es"}


@pytest.mark.parametrize("changes", [{"profile": "gpu"}, {"models": "minimal"}])
def test_a_container_measures_only_what_the_profile_needs(folder: Path, voices: str, changes: dict[str, str]) -> None:
    measure_missing(kit_settings(folder, **changes), [voices], lambda _: None)
    assert not (folder / "machine.json").exists()


def test_a_container_starts_without_a_profile_that_cannot_be_written(folder: Path, voices: str) -> None:
    lines: list[str] = []
    (folder / "file").write_text("")
    measure_missing(kit_settings(folder, machine_profile=folder / "file" / "machine.json"), [voices], lines.append)
    assert lines[-1].startswith("the machine profile cannot be written: ")


def test_the_program_ends_well_whatever_the_settings_are(folder: Path) -> None:
    for models, said in (("all", "nothing measured"), ("minimal", "nothing to measure")):
        done = subprocess.run(
            [sys.executable, "-m", "service_kit.engines.measurement", "voice"],
            cwd=folder, env={**os.environ, "ANCHOR_MODELS": models},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.startswith(said)
