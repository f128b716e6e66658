"""Settings of the local language model's client; environment prefix `LLM_LOCAL_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.settings import EnvironmentSettings, ServerUrl


class LocalLlmSettings(EnvironmentSettings):
    """Settings of the server's address, the deadlines and the prepared passages."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="LLM_LOCAL_", env_ignore_empty=True)

    url: ServerUrl = Field(default="http://127.0.0.1:8006")
    api_key: SecretStr = Field(default=SecretStr(""))
    connect_s: float = Field(default=0.5, gt=0, le=10)
    # Time to the first token and to the end of the sentence; the passage is read out instead when one passes.
    first_token_s: float = Field(default=2.0, gt=0, le=10)
    complete_s: float = Field(default=4.0, gt=0, le=7)
    max_answer_tokens: int = Field(default=48, ge=8, le=400)
    # Folder of the prepared passages, which the server writes; both processes must see it.
    cache_dir: Path = Path("run/llm-cache")
    # Its largest size; a passage takes about 5 MB.
    cache_mb: int = Field(default=512, ge=0, le=65_536)
    # Passages are prepared once no turn has begun for this long.
    prepare_after_s: float = Field(default=20.0, ge=0.1, le=3600)
    # Time allowed for preparing one passage.
    prepare_s: float = Field(default=60.0, gt=0, le=600)
