"""Which Whisper is loaded: by the settings, by the speed of the machine, and by what is in the folders."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from service_kit.engines.hub import read_hub_entries, trust
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, write_profile
from service_kit.errors import EngineFailed, InvalidRequest
from stt_service.engines.whisper.models import BASE, SLOW_FIRST_RESULT_S, SMALL, candidates, find_device, locate_model
from stt_service.settings import SttSettings


@pytest.fixture
def settings(tmp_path: Path) -> SttSettings:
    return SttSettings(models_dir=tmp_path / "models", machine_profile=tmp_path / "machine.json")


@pytest.fixture
def models_lock() -> Path:
    """The project's."""
    return Path(__file__).parents[4] / "models.lock"


def measured(settings: SttSettings, first_result_s: float) -> None:
    speeds = {BASE: EngineSpeed(first_result_s, 0.1)}
    write_profile(settings.machine_profile, MachineProfile(2, 8 << 30, speeds))


def test_base_goes_first_on_a_machine_that_was_not_measured(settings: SttSettings) -> None:
    assert candidates(settings) == [BASE, SMALL]


@pytest.mark.parametrize(("factor", "first"), [(0.4, BASE), (1.0, BASE), (1.1, SMALL)])
def test_a_slow_machine_gets_the_small_model(settings: SttSettings, factor: float, first: str) -> None:
    measured(settings, factor * SLOW_FIRST_RESULT_S)
    assert candidates(settings)[0] == first
    assert len(candidates(settings)) == 2


def test_a_named_or_filled_folder_goes_before_the_store(settings: SttSettings) -> None:
    named = settings.model_copy(update={"whisper_model": Path("whisper-large")})
    assert candidates(named) == ["", BASE, SMALL]
    (settings.models_dir / "whisper").mkdir(parents=True)
    assert candidates(settings) == ["", BASE, SMALL]


def test_a_named_folder_needs_the_files_of_a_model(settings: SttSettings) -> None:
    named = settings.model_copy(update={"whisper_model": Path("mine")})
    with pytest.raises(InvalidRequest, match=r"it lacks model.bin, config.json, vocabulary.json"):
        locate_model(named, "")
    folder = settings.models_dir / "mine"
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "vocabulary.txt"):
        (folder / name).write_bytes(b"{}")
    assert locate_model(named, "") == folder


@pytest.mark.parametrize("damage", ["missing", "half", "swapped"])
def test_an_unusable_file_of_the_store_is_named(settings: SttSettings, real_models: Path, damage: str) -> None:
    folder = settings.models_dir / SMALL
    folder.mkdir(parents=True)
    for file in (real_models / SMALL).iterdir():
        (folder / file.name).symlink_to(file)
    assert locate_model(settings, SMALL) == folder
    bad = folder / "model.bin"
    bad.unlink()
    if damage == "half":
        bad.write_bytes((real_models / SMALL / "model.bin").read_bytes()[:1000])
    elif damage == "swapped":
        bad.symlink_to(real_models / BASE / "model.bin")
    with pytest.raises(EngineFailed, match=r"model\.bin") as caught:
        locate_model(settings, SMALL)
    assert caught.value.code == ("models.missing" if damage == "missing" else "models.mismatch")
    assert "anchor" in caught.value.message


@pytest.mark.parametrize("name", ["small", "whisper-small", "Systran/faster-whisper-small", "openai/whisper-small"])
def test_a_size_names_the_folder_that_was_pulled(
    name: str, settings: SttSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.models_dir / "whisper-small"
    folder.mkdir(parents=True)
    for file in ("model.bin", "config.json", "vocabulary.txt"):
        (folder / file).touch()
    monkeypatch.setenv("WHISPER_MODEL", name)
    named = SttSettings(models_dir=settings.models_dir, machine_profile=settings.machine_profile)
    assert candidates(named)[0] == ""
    assert locate_model(named, "") == folder


def test_a_size_that_was_not_pulled_is_named(settings: SttSettings) -> None:
    named = settings.model_copy(update={"whisper_model": Path("medium")})
    with pytest.raises(InvalidRequest, match="medium"):
        locate_model(named, "")


def test_a_size_that_can_be_pulled_is_named_with_its_command(settings: SttSettings, models_lock: Path) -> None:
    named = settings.model_copy(update={"whisper_model": Path("large-v3"), "models_lock": models_lock})
    with pytest.raises(InvalidRequest, match="anchor pull whisper-large-v3` fetches it"):
        locate_model(named, "")


def test_a_pulled_model_is_verified_also_in_a_mounted_folder(
    settings: SttSettings, models_lock: Path, tmp_path: Path
) -> None:
    mounted = tmp_path / "given"
    folder = mounted / "whisper-small"
    folder.mkdir(parents=True)
    entry = read_hub_entries(models_lock)["whisper-small"]
    for file in entry.files:
        (folder / file.path).write_bytes(file.path.encode())
        digest = hashlib.sha256(file.path.encode()).hexdigest()
        trust(replace(entry, revision="a" * 40), replace(file, sha256=digest, size_bytes=len(file.path)), mounted)
    named = settings.model_copy(update={"whisper_model": mounted / "small", "models_lock": models_lock})
    assert locate_model(named, "") == folder
    (folder / "model.bin").write_bytes(b"other")
    with pytest.raises(EngineFailed, match="anchor pull whisper-small") as refused:
        locate_model(named, "")
    assert refused.value.code == "models.mismatch"


@pytest.mark.parametrize(("device", "found"), [("cuda:0", "cuda"), ("CPU", "cpu"), ("cuda", "cuda"), ("auto", "cpu")])
def test_device_is_read_as_other_servers_write_it(device: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    monkeypatch.setenv("DEVICE", device)
    assert find_device(SttSettings()) == found
    monkeypatch.setenv("STT_WHISPER_DEVICE", "cpu")
    assert find_device(SttSettings()) == "cpu"


def test_automatic_device_is_the_gpu_that_the_library_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    assert find_device(SttSettings(whisper_device="auto")) == "cuda"
