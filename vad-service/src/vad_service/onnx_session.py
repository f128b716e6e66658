"""Opens a small network on onnxruntime, on one CPU thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service_kit.engines.isolation import import_onnxruntime

# onnxruntime's severity scale: 3 logs errors only. Silero's file causes a harmless warning about dropped initialisers.
_ERRORS_ONLY = 3


def open_onnx_session(model: Path, config: Mapping[str, str] | None = None) -> Any:
    """Return an `onnxruntime.InferenceSession` of the ONNX file `model`.

    It runs on one thread: with these small networks a second thread spins (Silero), or gains a fifth of the speed and
    takes a core from every other service (Smart Turn).

    `config` holds entries of onnxruntime's session configuration, by key. Raises onnxruntime's own exceptions for a
    file that is missing or invalid.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    for key, value in (config or {}).items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
