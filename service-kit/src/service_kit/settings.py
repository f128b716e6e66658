"""The settings of every service. Only this class and its subclasses read the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Profile = Literal["embedded", "cpu", "gpu"]
TracesSampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]

LogFormat = Literal["json", "text"]
# Which model files a machine without a GPU uses: `minimal` needs none for speech, and no neural retrieval.
ModelSet = Literal["default", "minimal"]

INTERNAL_HOST = "127.0.0.1"


def shared(name: str, *familiar: str) -> AliasChoices:
    """Return the environment names of a setting that do not follow from its class: ours first.

    `familiar` are names that other voice servers use for the same; they count while ours is not set.
    """
    return AliasChoices(name, *familiar)


def _voice_names(value: object) -> object:
    """The voices of a JSON list; for the path of a model file, the voice that it is named after."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.lstrip().startswith("[") else (Path(value).name.removesuffix(".onnx"),)


# Voices of Piper by name. One path of a voice's file, as other voice servers write it, names that voice.
PiperVoices = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_voice_names)]
DEFAULT_PIPER_VOICES = ("hi_IN-rohan-medium",)


def _server_url(url: str) -> str:
    if url:
        parts = urlsplit(url)
        try:
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or not url.isprintable() or " " in url:
            # Without the URL, which may have a password.
            raise ValueError("not a URL such as http://host:8000; other signs in a password are written as %23 or %2F")
    return url


# The address of an HTTP server; empty for none, where a setting allows that.
ServerUrl = Annotated[str, AfterValidator(_server_url)]


class ServiceSettings(BaseSettings):
    """Settings of one service.

    A subclass sets `env_prefix` (`STT_`), `grpc_port` and `http_port`. The constructor raises
    `pydantic.ValidationError` when a value in the environment is invalid.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    profile: Profile = Field(default="embedded", validation_alias=shared("ANCHOR_PROFILE"))
    # The models of the profile `embedded`.
    models: ModelSet = Field(default="default", validation_alias=shared("ANCHOR_MODELS"))
    # What `anchor doctor --measure` measured of the engines on this machine.
    machine_profile: Path = Field(
        default=Path("models/machine.json"), validation_alias=shared("ANCHOR_MACHINE_PROFILE")
    )
    reflection: bool = Field(default=False, validation_alias=shared("ANCHOR_REFLECTION"))
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias=shared("ANCHOR_LOG_LEVEL")
    )
    log_format: LogFormat = Field(default="json", validation_alias=shared("ANCHOR_LOG_FORMAT"))
    # Address of a service that only other services call: its gRPC, /info and /metrics ask for no secret. The
    # orchestrator, which does, listens on another one.
    host: str = Field(default=INTERNAL_HOST, validation_alias=shared("ANCHOR_INTERNAL_HOST"))
    # How long open calls may run on after SIGTERM, in seconds.
    drain_s: float = Field(default=5.0, ge=0, le=300, validation_alias=shared("ANCHOR_DRAIN_S"))

    # Whether the bidirectional calls from one service to another share one gRPC stream.
    multiplex: bool = Field(default=True, validation_alias=shared("ANCHOR_MULTIPLEX"))

    # Traces, under OpenTelemetry's names: the collector's address (http://...:4318), empty for no traces, and the
    # sampler.
    otlp_endpoint: ServerUrl = Field(default="", validation_alias=shared("OTEL_EXPORTER_OTLP_ENDPOINT"))
    traces_sampler: TracesSampler = Field(
        default="parentbased_always_on", validation_alias=shared("OTEL_TRACES_SAMPLER")
    )
    traces_sampler_arg: float = Field(default=1.0, ge=0, le=1, validation_alias=shared("OTEL_TRACES_SAMPLER_ARG"))

    grpc_port: int = Field(ge=0, le=65535)
    http_port: int = Field(ge=0, le=65535)
