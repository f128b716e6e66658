"""The steps against servers that speak the real protocols: what they measure, and what their verdict is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anchor.gpu.v1 import gpu_pb2
from anchor_cli.doctor.machine import LocalMachine
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.overrides import build_planner
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.outcome import Outcome, Result
from anchor_cli.verification.results import StepRecord
from anchor_cli.verification.steps.files import verify_files
from anchor_cli.verification.steps.language_model import verify_language_model
from anchor_cli.verification.steps.machine import verify_machine
from anchor_cli.verification.steps.memory import park_and_wake, verify_memory
from anchor_cli.verification.steps.recognition import verify_recognition
from anchor_cli.verification.steps.round_trip import verify_round_trip
from anchor_cli.verification.steps.together import verify_together
from anchor_cli.verification.steps.voice import verify_voice
from anchor_cli.verification.workbench import Workbench
from ollama_stub import OllamaStub, StubSection, WireFault
from service_kit.errors import AnchorError, EngineFailed, PeerFailed
from verification_doubles import COMMIT, MIB, EquipmentDouble

PROJECT = Path(__file__).parents[3]
GIB = 2**30


@pytest.fixture
def equipment(tmp_path: Path) -> EquipmentDouble:
    return EquipmentDouble(tmp_path)


@pytest.fixture
def bench(equipment: EquipmentDouble, tmp_path: Path) -> Workbench:
    catalogue = read_catalogue()
    planner, card = build_planner(catalogue, [], None), catalogue.card("rtx6000-ada")
    return Workbench(
        settings=MeshSettings(root=PROJECT, models_dir=tmp_path),
        machine=LocalMachine(),
        equipment=equipment,
        card=card,
        driver="580.95",
        planner=planner,
        plan=planner.plan(card),
        subject={},
        sound=tmp_path / "sound",
        page=tmp_path / "page.md",
        offline=False,
        turns_s=0.0,
        say=lambda line: None,
    )


def results(outcome: Outcome) -> dict[str, Result]:
    return {check.name: check.verdict for check in outcome.checks}


async def test_machine(bench: Workbench, equipment: EquipmentDouble) -> None:
    equipment.used = [500 * MIB]
    outcome = await verify_machine(bench)
    found = results(outcome)
    assert found["driver"] is found["free memory"] is found["containers see the card"] is Result.PASS
    assert outcome.figures["plan"]["title"] == "NVIDIA RTX 6000 Ada Generation"


def write_models(folder: Path, kind: str = "higgs_audio_v2_tokenizer") -> None:
    configs = {"higgs": {"model_type": "higgs_audio_v2", "codebook_size": 1026}, "codec": {"model_type": kind}}
    names = ("acoustic_decoder.a", "acoustic_encoder.a", "semantic_model.a", "quantizer.a", "fc2.weight")
    for name, config in configs.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config), "utf-8")
        entries = {tensor: {"data_offsets": [4 * at, 4 * at + 4]} for at, tensor in enumerate(names)}
        header = json.dumps(entries).encode()
        content = len(header).to_bytes(8, "little") + header + bytes(4 * len(names))
        (folder / name / "model.safetensors").write_bytes(content)


async def test_files(bench: Workbench, equipment: EquipmentDouble, tmp_path: Path) -> None:
    write_models(tmp_path)
    equipment.answer_torch("tensors", {"missing": [], "unexpected": [], "misshapen": []})
    outcome = await verify_files(bench)
    assert outcome.verdict is Result.PASS
    assert f'revision = "{COMMIT}"' in bench.lock_rows
    assert set(outcome.figures["files"]) == {"higgs/model.safetensors", "codec/model.safetensors"}


async def test_files_of_another_model_fail(bench: Workbench, equipment: EquipmentDouble, tmp_path: Path) -> None:
    write_models(tmp_path, kind="llama")
    equipment.answer_torch("tensors", {"missing": ["audio_lm_head.weight"], "unexpected": [], "misshapen": []})
    found = results(await verify_files(bench))
    assert found["codec's type"] is found["speech model's tensors"] is Result.FAIL


VOICE: dict[str, Any] = {
    "device": "card",
    "greedy_rows": 60,
    "graph_equals_eager": True,
    "logit_error": 0.03,
    "log_mel_distance": 0.5,
    "sentences": [],
    "speed": [],
    "likeness": 0.95,
    "unsupported": {},
}


async def test_voice(bench: Workbench, equipment: EquipmentDouble) -> None:
    planned = bench.plan.service("tts")
    equipment.used = [500 * MIB, 510 * MIB]
    equipment.answer_torch("measure", {**VOICE, "memory_bytes": {"weights": planned.weights.bytes, "kv_cache": 0}})
    outcome = await verify_voice(bench)
    assert equipment.cleared == 1
    assert results(outcome)["graph equals eager"] is Result.PASS
    assert results(outcome)["memory beside the plan"] is Result.FAIL
    memory = {part["name"]: part["planned_bytes"] for part in outcome.figures["memory"]}
    assert memory == {"weights": planned.weights.bytes, "kv_cache": planned.kv_cache.bytes}
    assert outcome.figures["used_after_bytes"] == 510 * MIB
    assert (bench.sound / "voice_check.log").read_text("utf-8") == "loading\n"


async def test_voice_without_torch_names_its_last_words(bench: Workbench) -> None:
    with pytest.raises(EngineFailed, match=r"measure\.json"):
        await verify_voice(bench)


async def test_language_model(bench: Workbench) -> None:
    outcome = await verify_language_model(bench)
    assert results(outcome)["whole on the card"] is Result.PASS
    assert outcome.figures["tokens_per_s"] > 0
    assert len(outcome.figures["turns"]) == 6


async def test_a_language_model_in_host_memory_fails(bench: Workbench, equipment: EquipmentDouble) -> None:
    equipment.ollama = OllamaStub(StubSection(first_token_delay_ms=0, tokens_per_second=1000, gpu_share=0.5))
    assert results(await verify_language_model(bench))["whole on the card"] is Result.FAIL


@pytest.mark.parametrize(
    ("fault", "message"),
    [(WireFault.BUSY, "503"), (WireFault.NO_DONE, "broke off"), (WireFault.TRUNCATED_LINE, "Ollama at")],
)
async def test_a_broken_reply_is_an_error(
    fault: WireFault, message: str, bench: Workbench, equipment: EquipmentDouble
) -> None:
    section = StubSection(first_token_delay_ms=0, tokens_per_second=1000, wire_fault=fault, fault_at=1)
    equipment.ollama = OllamaStub(section)
    with pytest.raises(PeerFailed, match=message):
        await verify_language_model(bench)


async def test_recognition(bench: Workbench, equipment: EquipmentDouble) -> None:
    equipment.used = [40 * GIB, 31 * GIB]
    outcome = await verify_recognition(bench)
    assert outcome.verdict is Result.PASS
    assert outcome.figures["freed_bytes"] == 9 * GIB
    assert outcome.figures["partials"] > 10
    assert outcome.figures["cancel_s"] < 2
    assert not equipment.server.asleep
    assert equipment.server.running == 0


async def test_round_trip_speaks_saves_and_recognises(bench: Workbench) -> None:
    bench.sound.mkdir()
    (bench.sound / "learned-seed-1.wav").write_bytes((PROJECT / "content/questions/demo.wav").read_bytes())
    figures = {"sentences": [{"file": "learned-seed-1.wav"}, {"file": "gone.wav"}]}
    fields: dict[str, Any] = {"title": "", "verdict": "PASS", "cure": "", "seconds": 1, "fingerprint": "", "checks": []}
    bench.records["voice"] = StepRecord(step="voice", figures=figures, **fields)
    outcome = await verify_round_trip(bench)
    rates = [sentence["word_error_rate"] for sentence in outcome.figures["sentences"]]
    # The file of the step `voice` says something else than its sentence.
    assert rates[0] > 0.5
    assert rates[1:] == [0.0] * 5
    assert (bench.sound / "german.wav").stat().st_size > 44
    assert results(outcome)["median word errors"] is Result.PASS
    assert results(outcome)["word errors of learned-seed-1.wav"] is Result.FAIL


async def test_a_voice_without_audio_is_an_error(bench: Workbench, equipment: EquipmentDouble) -> None:
    equipment.services.speech_ms = 0
    with pytest.raises(AnchorError, match="no audio"):
        await verify_round_trip(bench)


async def test_together(bench: Workbench) -> None:
    outcome = await verify_together(bench)
    assert outcome.figures["transcript"] == "how is the weather"
    assert outcome.figures["stages_ms"] == {"silence noticed": 60, "first frame sent": 300}
    assert len(outcome.figures["realtime_factors"]) == 2
    assert (bench.sound / "reply.wav").exists()
    assert outcome.verdict is Result.PASS


async def test_memory(bench: Workbench, equipment: EquipmentDouble) -> None:
    part = {"kind": 1, "bytes": 11 * GIB}
    service = {"service": "tts-service", "driver_bytes": 12 * GIB, "planned_bytes": 12 * GIB}
    device = {"name": "card", "memory_total_bytes": 48 * GIB, "memory_used_bytes": 44 * GIB}
    equipment.services.report = gpu_pb2.GpuReport(
        services=[gpu_pb2.ServiceMemory(**service, self_report=gpu_pb2.SelfReport(parts=[part]))],
        devices=[gpu_pb2.Device(**device)],
    )
    equipment.used = [44 * GIB, 44 * GIB + 10 * MIB, 44 * GIB, 44 * GIB + 65 * MIB]
    equipment.engines.busy = 1
    bench.turns_s = 0.01
    outcome = await verify_memory(bench)
    assert equipment.engines.moves == ["llm park", "llm wake"]
    (row,) = outcome.figures["rows"]
    assert row["unexplained_bytes"] == GIB
    assert outcome.figures["free_bytes"] == 4 * GIB
    found = results(outcome)
    assert found["memory beside the plan"] is found["llm: memory after waking"] is Result.PASS
    assert found["turns for"] is found["growth over 1 turns"] is Result.FAIL
    assert found["parked and woken"] is Result.PASS


async def test_an_unknown_engine_state_is_an_error(bench: Workbench, equipment: EquipmentDouble) -> None:
    async with equipment.mesh() as mesh:
        broken = replace(mesh, api_url=f"{mesh.api_url}/elsewhere")
        with pytest.raises(PeerFailed, match="parking and waking"):
            await park_and_wake(bench, broken)
