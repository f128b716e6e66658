"""Run by vLLM's Python: a Voxtral of its real size on the meta device, loaded by vLLM's own loader from names alone.

Takes the folder of a layout; reads `{name: shape}` from standard input, and writes what became of it as JSON.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader.utils import initialize_model


def model_of(folder: Path) -> Any:
    """The model without memory."""
    mistral = {"tokenizer_mode": "mistral", "config_format": "mistral", "load_format": "mistral"}
    config = EngineArgs(str(folder), **mistral, dtype="bfloat16", enforce_eager=True).create_engine_config()
    with set_current_vllm_config(config):
        meeting = f"file://{folder}/meeting"
        init_distributed_environment(1, 0, meeting, 0, "gloo")
        ensure_model_parallel_initialized(1, 1)
        with torch.device("meta"):
            return initialize_model(config)


def main() -> None:
    shapes: dict[str, list[int]] = json.load(sys.stdin)
    model = model_of(Path(sys.argv[1]))
    with torch.device("meta"):
        loaded = model.load_weights((name, torch.empty(shape, device="meta")) for name, shape in shapes.items())
    parameters = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    json.dump({"parameters": parameters, "loaded": sorted(loaded)}, sys.stdout)


main()
