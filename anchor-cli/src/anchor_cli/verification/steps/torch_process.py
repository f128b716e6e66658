"""Runs `python -m voice_check` (tools/bench/voice_check) in the Python that has torch."""

from __future__ import annotations

import os
from typing import Any

from anchor_cli.verification.processes import project_environment, run_json
from anchor_cli.verification.workbench import Workbench

# Read by the libraries on import: no downloads, and no progress bars.
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


async def run_voice_check(bench: Workbench, *arguments: str, timeout_s: float, use_card: bool) -> dict[str, Any]:
    """Run one of its commands and return its figures; its messages go to `voice_check.log`. Raises `EngineFailed`."""
    extra = dict(_QUIET)
    # The card of the containers, counted as nvidia-smi does.
    extra |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": os.environ.get("ANCHOR_GPU") or "0"}
    if not use_card:
        extra["CUDA_VISIBLE_DEVICES"] = ""
    if bench.equipment.rehearsal:
        # Tiny matrices are slower on many threads.
        extra["OMP_NUM_THREADS"] = "1"
    return await run_json(
        [*bench.equipment.torch_python, "-m", "voice_check", *arguments],
        bench.sound / "voice_check.log",
        timeout_s=timeout_s,
        env=project_environment(bench.root, extra),
    )
