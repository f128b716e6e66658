"""Settings of the local language model's process; environment prefix `LLM_LOCAL_`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.settings import EnvironmentSettings, LogFormat, shared

MODEL = "qwen2.5-coder-1.5b-instruct"
# More threads than this gain little: reading the weights from memory limits the generation of text.
_MAX_THREADS = 8


class LlmServiceSettings(EnvironmentSettings):
    """Settings of the process, from `LLM_LOCAL_*` and from the names that all services share.

    The constructor raises `pydantic.ValidationError` for an invalid environment.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_prefix="LLM_LOCAL_",
        populate_by_name=True,
        env_ignore_empty=True,
        protected_namespaces=(),
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias=shared("ANCHOR_LOG_LEVEL")
    )
    log_format: LogFormat = Field(default="json", validation_alias=shared("ANCHOR_LOG_FORMAT"))
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR", "MODEL_CACHE_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))

    # Port on 127.0.0.1; the server listens on no other address.
    http_port: int = Field(default=8006, ge=0, le=65535, validation_alias=shared("LLM_HTTP_PORT"))
    # The user's own GGUF file, used without verification; unset for the model that `models.lock` names.
    model_path: Path | None = None
    # Required from clients as a bearer token; empty for none.
    api_key: SecretStr = SecretStr("")
    # Threads of the model; 0 for one per core, at most eight.
    threads: int = Field(default=0, ge=0, le=256)
    # Context in tokens; 28 KB of memory each.
    context_tokens: int = Field(default=2048, ge=1024, le=32_768)
    # Tokens of a prompt that are processed at once: a request that is given up stops at the next such limit.
    batch_tokens: int = Field(default=64, ge=16, le=2048)
    # Folder of the prepared passages, which the orchestrator fills and bounds.
    cache_dir: Path = Path("run/llm-cache")
    # Niceness of the process: speech recognition and synthesis get the cores first.
    niceness: int = Field(default=5, ge=0, le=19)

    @property
    def thread_count(self) -> int:
        """The number of threads, by setting or by the cores that this process may use."""
        return self.threads or max(1, min(len(os.sched_getaffinity(0)), _MAX_THREADS))
