"""What the doctor says about the machine and the choices that follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.doctor.finding import Verdict
from anchor_cli.doctor.profile_checks import check_machine
from anchor_cli.settings import MeshSettings
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, write_profile
from service_kit.resources import MachineResources

RESOURCES = MachineResources(2, 2, None, 8 * 2**30, None)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeshSettings:
    """Settings of the command and, by the environment, of the services; both have the same profile and models."""
    monkeypatch.setenv("ANCHOR_MACHINE_PROFILE", str(tmp_path / "machine.json"))
    monkeypatch.setenv("ANCHOR_MODELS", "default")
    monkeypatch.chdir(tmp_path)
    return MeshSettings(root=tmp_path)


def write(settings: MeshSettings, cores: int = 2, **engines: EngineSpeed) -> None:
    named = {name.replace("_", "-"): speed for name, speed in engines.items()}
    write_profile(settings.machine_profile, MachineProfile(cores, 2**30, named))


def lines(settings: MeshSettings) -> list[str]:
    return [f"{found.check}: {found.message}" for found in check_machine(settings, RESOURCES)]


def test_unmeasured_machine_is_a_hint(settings: MeshSettings) -> None:
    findings = list(check_machine(settings, RESOURCES))
    assert findings[0].message == "2 of 2 cores, 8.0 GiB of memory"
    assert (findings[1].verdict, findings[1].fix) == (Verdict.HINT, "anchor doctor --measure")
    assert "speech to text: whisper-base, since whisper-base was not measured" in [each.message for each in findings]


@pytest.mark.parametrize(
    ("first_result_s", "model", "compared"), [(0.27, "whisper-base", "no slower"), (0.9, "whisper-tiny.en", "slower")]
)
def test_measured_speed_explains_the_recogniser(settings, first_result_s, model, compared) -> None:
    write(settings, whisper_base=EngineSpeed(first_result_s, 0.1))
    text = lines(settings)
    assert f"speed: whisper-base: {first_result_s:.2f} s to the first result, 0.10 s per second of speech" in text
    (choice,) = [line for line in text if line.startswith("choice: speech to text")]
    assert choice.startswith(f"choice: speech to text: {model}, since whisper-base needs {first_result_s:.2f} s")
    assert f", {compared} than" in choice


def test_profile_of_another_number_of_cores_is_a_hint(settings: MeshSettings) -> None:
    write(settings, cores=4)
    assert "speed: measured with 4 cores; now there are 2" in lines(settings)
    assert "speed: no engine was measured on this machine" in lines(settings)


@pytest.mark.parametrize("changes", [{"models": "minimal"}, {"profile": "cpu"}])
def test_other_profiles_show_the_resources_only(settings: MeshSettings, changes: dict[str, object]) -> None:
    assert len(lines(settings.model_copy(update=changes))) == 1
