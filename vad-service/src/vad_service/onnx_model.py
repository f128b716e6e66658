"""A small network on onnxruntime, on one thread of this processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def open_network(model: Path, config: Mapping[str, str] | None = None) -> Any:
    """A session of the ONNX file `model`; `config` holds onnxruntime's own entries. Raises what the library raises.

    One thread: these networks are so small that a second one spins (Silero), or gains a fifth and takes a core from
    everybody else (Smart Turn).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Errors only: Silero's file makes it warn of initialisers that it drops, which is harmless.
    options.log_severity_level = 3
    for key, value in (config or {}).items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
