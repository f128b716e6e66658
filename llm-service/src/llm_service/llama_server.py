"""llama.cpp's HTTP server inside this process, by the package xllamacpp."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from service_kit.anchor_command import anchor_command
from service_kit.engines import models
from service_kit.errors import EngineFailed

from llm_service.settings import MODEL, LlmServiceSettings

_INSTALL = "run `make run LLM=local`"
# Of llama.cpp's log, errors only: this process reports what a user must know.
_ERRORS_ONLY = 1


def find_model(settings: LlmServiceSettings) -> Path:
    """Return the model file: the user's own, or the verified one of `models.lock`.

    Raises `EngineFailed` when it is missing, damaged, swapped or half fetched.
    """
    if settings.model_path is not None:
        if not settings.model_path.is_file():
            raise EngineFailed("models.missing", f"LLM_LOCAL_MODEL_PATH: there is no file {settings.model_path}")
        return settings.model_path
    folder = models.model_folder(MODEL, settings.models_lock, settings.models_dir)
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise EngineFailed("models.missing", f"no GGUF file in {folder}; run `{anchor_command(f'pull {MODEL}')}`")
    return files[0]


def start_server(settings: LlmServiceSettings, model: Path) -> Any:
    """Load `model` and serve it on 127.0.0.1; blocks until it is loaded. The server lives as long as the result.

    Raises `EngineFailed` when the package is missing or cannot load the file, or the cache folder cannot be made.
    """
    # Threads that wait for work sleep instead of spinning: on two cores, the recogniser needs the other one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        xllamacpp: Any = import_module("xllamacpp")
    except ImportError as error:
        raise EngineFailed(
            "llm.not_installed", f"the package xllamacpp cannot be imported; {_INSTALL}: {error}"
        ) from error
    try:
        parameters = _parameters(xllamacpp, settings, model)
    except OSError as error:
        reason = f"cannot use {error.filename}: {error.strerror}"
        raise EngineFailed("llm.no_folder", f"the folder of the prepared passages or the model: {reason}") from error
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise EngineFailed(
            "llm.not_loaded",
            f"llama.cpp cannot load {model}, or port {settings.http_port} is taken; its log above says which",
        ) from error


def _parameters(xllamacpp: Any, settings: LlmServiceSettings, model: Path) -> Any:
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    stat = model.stat()
    # The second name changes with the file and the runtime: a prepared passage fits only the pair that made it.
    state = f"state-{xllamacpp.__version__}-{stat.st_size}-{stat.st_mtime_ns}"
    parameters.model_alias = {model.stem if settings.model_path else MODEL, state}
    # Read into memory once, in the layout that the processor needs; a mapped file would be in memory twice.
    parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    parameters.fit_params = False
    parameters.n_ctx = settings.context_tokens
    # One conversation at a time: another slot would halve the speed of both.
    parameters.n_parallel = 1
    parameters.n_batch = parameters.n_ubatch = settings.batch_tokens
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = settings.thread_count
    # Prepared passages are files, not memory.
    parameters.cache_ram_mib = 0
    parameters.n_ctx_checkpoints = 0
    parameters.slot_save_path = f"{settings.cache_dir.resolve()}{os.sep}"
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = settings.http_port
    parameters.n_threads_http = 4
    # No web page of another origin may read an answer.
    parameters.cors_origins = ""
    parameters.ui = False
    parameters.offline = True
    parameters.verbosity = _ERRORS_ONLY
    if key := settings.api_key.get_secret_value():
        parameters.api_keys = [key]
    return parameters
