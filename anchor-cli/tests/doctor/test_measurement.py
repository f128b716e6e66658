"""The measurement of a machine at the first start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from anchor_cli.doctor.command import measure_first_start
from anchor_cli.doctor.profile_checks import profile_path
from anchor_cli.settings import MeshSettings
from rich.console import Console
from service_kit.engines.machine_profile import MachineProfile, write_profile


@pytest.fixture
def settings(tmp_path: Path) -> MeshSettings:
    return MeshSettings(root=tmp_path, models="default")


def test_first_start_measures_once(settings: MeshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[float, Sequence[str]]] = []

    def measure(
        path: Path, resources: object, report: object, *, folder: Path, within_s: float, modules: Sequence[str]
    ) -> None:
        assert folder == settings.root
        measured.append((within_s, modules))
        write_profile(path, MachineProfile(2, 2**30))

    monkeypatch.setattr("anchor_cli.doctor.command.measure_machine", measure)
    console = Console(width=200)
    with console.capture() as captured:
        measure_first_start(console, settings)
        measure_first_start(console, settings)
    # What only informs is left to `anchor doctor --measure`.
    assert measured == [(30, ("stt_service.measure", "tts_service.measure"))]
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
