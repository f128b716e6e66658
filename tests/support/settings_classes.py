"""Every settings class of the project, and the variables that they read."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import get_args

from pydantic import AliasChoices, SecretStr
from pydantic_settings import BaseSettings

PACKAGES = (
    "service_kit",
    "vad_service",
    "stt_service",
    "tts_service",
    "gpu_monitor",
    "llm_service",
    "orchestrator",
    "anchor_cli",
)


def settings_classes() -> list[type[BaseSettings]]:
    """Every settings class of the project, without base classes of others."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            source = module.module_finder.find_spec(module.name, None)
            assert source is not None
            assert source.origin is not None
            if "SettingsConfigDict" in Path(source.origin).read_text() or module.name.endswith("settings"):
                import_module(module.name)

    return [cls for cls in _ours(BaseSettings) if not _ours(cls)]


def _ours(base: type[BaseSettings]) -> list[type[BaseSettings]]:
    """All subclasses of `base` defined in the project."""
    below = [found for child in base.__subclasses__() for found in (child, *_ours(child))]
    return [cls for cls in below if cls.__module__.partition(".")[0] in PACKAGES]


def names_of(cls: type[BaseSettings]) -> dict[str, str]:
    """The variable of each field of a settings class."""
    names: dict[str, str] = {}
    for field, info in cls.model_fields.items():
        alias = info.validation_alias
        prefix = cls.model_config.get("env_prefix", "")
        names[field] = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"{prefix}{field}".upper()
    return names


def all_names_of(cls: type[BaseSettings]) -> set[str]:
    """Every variable that a settings class reads, with the names that other voice servers use."""
    aliases = [info.validation_alias for info in cls.model_fields.values()]
    familiar = {str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices[1:]}
    return familiar | set(names_of(cls).values()) | secret_files_of(cls)


def secret_files_of(cls: type[BaseSettings]) -> set[str]:
    """The variables that name the files of a settings class's secrets."""
    names = names_of(cls)
    secrets = (
        field for field, info in cls.model_fields.items() if SecretStr in (info.annotation, *get_args(info.annotation))
    )
    return {f"{names[field]}_FILE" for field in secrets}
