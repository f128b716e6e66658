"""What the doctor says about the machine and the choices that follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.doctor.finding import Verdict
from anchor_cli.doctor.profile_checks import check_machine
from anchor_cli.settings import MeshSettings
from service_kit.anchor_command import anchor_command
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, ModelSpeed, write_profile
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
    assert (findings[1].verdict, findings[1].fix) == (Verdict.HINT, anchor_command("doctor --measure"))
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


def test_each_language_of_kokoro_is_explained(settings: MeshSettings) -> None:
    (settings.root / "models/kokoro").mkdir(parents=True)
    rows = {
        f"kokoro:{language}": EngineSpeed(first_s, 0.4)
        for language, first_s in {"es": 0.3, "fr": 0.6, "it": 0.7, "pt": 0.5, "hi": 1.9}.items()
    }
    write_profile(settings.machine_profile, MachineProfile(2, 2**30, rows))
    text = lines(settings)
    assert "speed: kokoro:hi: 1.90 s to the first result, 0.40 s per second of speech" in text
    (choice,) = [line for line in text if line.startswith("choice: text to speech")]
    assert choice.startswith("choice: text to speech: kokoro for es, fr, pt; espeak for it, hi, not kokoro: ")
    assert choice.endswith("exceed 0.6 s or 0.5 (it 0.70 s, 0.40; hi 1.90 s, 0.40)")


def test_installed_engines_without_a_row_are_a_hint(settings: MeshSettings) -> None:
    (settings.root / "models/kokoro").mkdir(parents=True)
    (settings.root / "models/whisper-base").mkdir()
    write_profile(settings.machine_profile, MachineProfile(2, 2**30, {"espeak": EngineSpeed(0.1, 0.1)}))
    (hint,) = [found for found in check_machine(settings, RESOURCES) if "not measured:" in found.message]
    rows = {"whisper-base", "hibari", *(f"kokoro:{language}" for language in ("es", "fr", "it", "pt", "hi"))}
    assert hint.message.startswith("installed, but not measured: ")
    assert set(hint.message.partition(": ")[2].split(", ")) == rows
    assert (hint.verdict, hint.fix) == (Verdict.HINT, anchor_command("doctor --measure"))


@pytest.mark.parametrize(("first_token_s", "reads_out"), [(0.4, False), (2.5, True)])
def test_a_language_model_slower_than_its_deadline_is_a_hint(settings, first_token_s: float, reads_out: bool) -> None:
    language_models = {"local-llm": ModelSpeed(first_token_s, 9.5)}
    write_profile(settings.machine_profile, MachineProfile(2, 2**30, {}, language_models))
    text = lines(settings.model_copy(update={"llm": "local"}))
    row = f"local-llm: {first_token_s:.2f} s to the first token over a prepared passage, 9.5 tokens per second"
    assert f"speed: {row}" in text
    assert any("passages are read out, since it needs 2.50 s" in line for line in text) is reads_out


def test_capacity_for_callers_is_explained(settings: MeshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anchor_cli.doctor.profile_checks.read_resources", lambda: RESOURCES)
    write(settings, whisper_base=EngineSpeed(0.1517, 0.0312), hibari=EngineSpeed(0.0237, 0.0155))
    (choice,) = [line for line in lines(settings) if line.startswith("choice: admission")]
    assert choice.startswith("choice: admission: 8 people may speak at a time, limited by cores (cores 8, stt_streams ")
    monkeypatch.setenv("ORCHESTRATOR_MAX_SPEAKERS", "3")
    (choice,) = [line for line in lines(settings) if line.startswith("choice: admission")]
    assert choice == "choice: admission: 3 people may speak at a time, limited by setting (setting 3)"
