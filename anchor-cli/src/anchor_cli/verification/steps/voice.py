"""Step 3: the voice alone on the card, in the Python that has torch."""

from __future__ import annotations

from typing import Any

from anchor_cli.mesh.self_test import spoken_text
from anchor_cli.plan.budget import ServiceMemory
from anchor_cli.verification.checks.limits import GREEDY_ROWS
from anchor_cli.verification.checks.voice import MemoryFigure, VoiceFigures, check_voice
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.steps.torch_process import run_voice_check
from anchor_cli.verification.workbench import Workbench

# Loading 12 GB, compiling int8 for three numbers of slots, and the sentences.
_TIMEOUT_S = 1800.0
SENTENCE = "The sun rises in the east and sets in the west."


async def verify_voice(bench: Workbench) -> Outcome:
    """Measure the speech model, alone on the card."""
    await bench.equipment.clear_card()
    before = await bench.equipment.used_bytes()
    planned = bench.plan.service("tts")
    recording = bench.root / bench.settings.self_test_wav
    measured = await run_voice_check(
        bench,
        "measure",
        *("--model", str(bench.equipment.voice_models().model), "--codec", str(bench.equipment.voice_models().codec)),
        *("--recording", str(recording), "--transcript", spoken_text(recording), "--text", SENTENCE),
        *("--rows", str(GREEDY_ROWS), "--sound", str(bench.sound)),
        *("--slots", str(planned.choice.slots), "--context", str(planned.choice.context_tokens)),
        *(("--tiny",) if bench.equipment.rehearsal else ()),
        timeout_s=_TIMEOUT_S,
        use_card=not bench.equipment.rehearsal,
    )
    after = await bench.equipment.used_bytes()
    found: dict[str, int] = measured.pop("memory_bytes")
    figures = VoiceFigures(**measured, memory=pair_with_plan(found, planned))
    kept: dict[str, Any] = {"used_before_bytes": before, "used_after_bytes": after}
    return Outcome(check_voice(figures), {**figures.model_dump(mode="json"), **kept})


def pair_with_plan(found: dict[str, int], planned: ServiceMemory) -> list[MemoryFigure]:
    """Measured memory (weights, kv_cache, workspace; bytes) beside the plan's."""
    parts = {
        "weights": planned.weights.bytes,
        "kv_cache": planned.kv_cache.bytes,
        "workspace": planned.activations.bytes,
        "cuda_context": planned.context.bytes,
    }
    return [
        MemoryFigure(name=name, found_bytes=found[name], planned_bytes=bytes_)
        for name, bytes_ in parts.items()
        if name in found
    ]
