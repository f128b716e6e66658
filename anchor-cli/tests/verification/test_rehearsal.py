"""The rehearsal's servers without torch, and the command on a machine without a card."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.clients.ollama_client import chat
from anchor_cli.verification.clients.recognition_client import transcribe
from anchor_cli.verification.command import print_step
from anchor_cli.verification.equipment.rehearsal import RehearsalEquipment
from anchor_cli.verification.outcome import Check, Outcome, Result
from anchor_cli.verification.results import StepRecord
from rich.console import Console
from typer.testing import CliRunner

PROJECT = Path(__file__).parents[3]
# Plays `python -m voice_check.tiny_models`.
FAKE_TORCH = """
import pathlib, sys
for folder in map(pathlib.Path, sys.argv[3:]):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "notes.txt").write_text("no model file")
"""


@pytest.fixture
def torch_python(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "fake_torch.py").write_text(FAKE_TORCH, "utf-8")
    return sys.executable, str(tmp_path / "fake_torch.py")


async def test_tiny_models_are_recorded_as_a_first_download_is(torch_python: tuple[str, str], tmp_path: Path) -> None:
    async with RehearsalEquipment(MeshSettings(root=PROJECT), tmp_path / "run", torch_python) as equipment:
        for _ in range(2):
            models = await equipment.fetch_models(offline=False)
            assert [(model.name, len(model.files), len(model.revision)) for model in models] == [
                ("higgs-audio-v2", 1, 40),
                ("higgs-audio-v2-tokenizer", 1, 40),
            ]
            assert not any(model.unknown for model in models)
        assert await equipment.used_bytes() is None


async def test_its_servers_speak_the_protocols_and_start_once(
    torch_python: tuple[str, str], tmp_path: Path, question: bytes
) -> None:
    async with RehearsalEquipment(MeshSettings(root=PROJECT), tmp_path / "run", torch_python) as equipment:
        async with equipment.language_model() as ollama:
            reply = await chat(ollama, [{"role": "user", "content": "Hello?"}], 20)
        assert reply.text.strip() == "It will be sunny."
        async with equipment.recognition() as servers, equipment.recognition() as again:
            assert servers == again
            heard = await transcribe(servers.stt_target, question * 4, "en", paced=False)
        assert heard.text == "How is the weather looking for the weekend?"


@pytest.mark.parametrize("options", [[], ["--only", "voice"]])
def test_without_a_card_one_line_names_the_rehearsal(
    options: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["verify-gpu", *options], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    (line,) = result.output.strip().splitlines()
    assert line.startswith("verify-gpu needs an NVIDIA GPU: no GPU found (nvidia-smi not found)")
    assert line.endswith("--tiny rehearses the steps on a CPU")


def test_an_unknown_step_is_refused() -> None:
    assert CliRunner().invoke(app, ["verify-gpu", "--only", "ears"]).exit_code == 2


def test_a_step_is_printed_with_what_did_not_pass_and_the_cure() -> None:
    checks = (
        Check("speed", Result.PASS, "10 ms"),
        Check("memory", Result.FAIL, "13 GiB", "Leave more free."),
        Check("fp8", Result.SKIP, "not on this card"),
    )
    console = Console(record=True, width=100, quiet=True)
    record = StepRecord.of("voice", "the voice", Outcome(checks), 12.3, "mark")
    with console.capture() as captured:
        console.quiet = False
        print_step(console, record, was_recorded=False)
    lines = [line.strip() for line in captured.get().splitlines()]
    assert lines == [
        "FAIL voice  (12 s)",
        "FAIL memory: 13 GiB",
        "→ Leave more free.",
        "SKIP fp8: not on this card",
    ]
