"""The settings of every service. Only this class and its subclasses read the environment."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

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

# Names the file of a secret: `SHARED_SECRET_FILE` that of `SHARED_SECRET`.
SECRET_FILE_SUFFIX = "_FILE"  # noqa: S105
MAX_SECRET_BYTES = 8_192
# Where container runtimes mount secrets, often readable by every user of the container, which has one.
_MOUNTED_SECRETS = Path("/run/secrets")


class SecretFileProblem(SettingsError):
    """The file of a secret cannot be used; `variable` names the file, `reason` does not quote its content."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable}: {reason}")
        self.variable = variable
        self.reason = reason


def field_variables(owner: type[BaseSettings], field: str) -> tuple[str, ...]:
    """The environment variables that a field of `owner` is read from, ours first."""
    alias = owner.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(map(str, alias.choices))
    return (f"{owner.model_config.get('env_prefix', '')}{field}".upper(),)


def secret_file_variables(owner: type[BaseSettings]) -> dict[str, str]:
    """The variable that names the file of each secret field of `owner`."""
    return {
        field: field_variables(owner, field)[0] + SECRET_FILE_SUFFIX
        for field, info in owner.model_fields.items()
        if SecretStr in (info.annotation, *get_args(info.annotation))
    }


def read_secret_file(path: Path) -> str:
    """The secret in a file, without the line's end. Raises `ValueError` with the reason, never with the content."""
    try:
        # A pipe without a writer must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} is not a regular file")
        if mode & stat.S_IROTH and not path.resolve().is_relative_to(_MOUNTED_SECRETS):
            raise ValueError(f"every user of this machine can read {path}; `chmod o= {path}` keeps it secret")
        content = os.read(descriptor, MAX_SECRET_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"{path} has more than {MAX_SECRET_BYTES} bytes")
    try:
        secret = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if not secret.strip():
        raise ValueError(f"{path} is empty")
    if not secret.isprintable():
        raise ValueError(f"{path} has more than one line, or characters that cannot be printed")
    return secret


class SecretFiles(PydanticBaseSettingsSource):
    """Reads each secret whose file is named, once. Raises `SecretFileProblem`, also where the secret itself is set."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = secret_file_variables(self.settings_cls).get(field_name)
        key = field_name if field.validation_alias is None else field_variables(self.settings_cls, field_name)[0]
        if variable is None or not (path := os.environ.get(variable)):
            return None, key, False
        for name in field_variables(self.settings_cls, field_name):
            if os.environ.get(name):
                raise SecretFileProblem(variable, f"{name} is set too; set one of them")
        try:
            return read_secret_file(Path(path)), key, False
        except ValueError as error:
            raise SecretFileProblem(variable, str(error)) from error

    def __call__(self) -> dict[str, Any]:
        found = (self.get_field_value(info, field) for field, info in self.settings_cls.model_fields.items())
        return {key: value for value, key, _ in found if value is not None}


class EnvironmentSettings(BaseSettings):
    """Settings from the environment, in which `NAME_FILE` may name the file of the secret `NAME`.

    The constructor raises `pydantic.ValidationError` for an invalid value, `pydantic_settings.SettingsError` for one
    that cannot be parsed and for the file of a secret that cannot be used.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)


class ServiceSettings(EnvironmentSettings):
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
    # What the collector asks of its clients, `name=value,name=value`, with values in URL encoding.
    otlp_headers: SecretStr = Field(default=SecretStr(""), validation_alias=shared("OTEL_EXPORTER_OTLP_HEADERS"))
    traces_sampler: TracesSampler = Field(
        default="parentbased_always_on", validation_alias=shared("OTEL_TRACES_SAMPLER")
    )
    traces_sampler_arg: float = Field(default=1.0, ge=0, le=1, validation_alias=shared("OTEL_TRACES_SAMPLER_ARG"))

    grpc_port: int = Field(ge=0, le=65535)
    http_port: int = Field(ge=0, le=65535)
