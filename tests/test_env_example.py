""".env.example lists every setting once, with its default and a comment, and no unused one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import AliasChoices, SecretStr
from pydantic_core import PydanticUndefined
from service_kit.familiar_settings import FamiliarSettings
from settings_classes import names_of, secret_files_of, settings_classes

ROOT = Path(__file__).parent.parent
# Including the services that differ by profile.
COMPOSE_FILES = (ROOT / "compose.yaml", *sorted((ROOT / "deploy").glob("*.yaml")))
COMPOSE = "\n".join(path.read_text("utf-8") for path in COMPOSE_FILES)
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
# Read by Compose itself: the profiles of compose.yaml, and the files.
COMPOSE_OWN = {"COMPOSE_PROFILES", "COMPOSE_FILE"}


def format_default(default: Any) -> str:
    """A default as written in an environment variable."""
    match default:
        case None:
            return ""
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case SecretStr():
            return default.get_secret_value()
        case tuple() | list() | dict():
            return json.dumps(default)
        case _:
            return str(default)


def read_by_services() -> dict[str, set[str]]:
    """Every variable of the settings classes, with its defaults (a set, because several classes may read it)."""
    names: dict[str, set[str]] = {}
    for cls in settings_classes():
        for field, name in names_of(cls).items():
            default = cls.model_fields[field].default
            names.setdefault(name, set()).add("" if default is PydanticUndefined else format_default(default))
        for name in secret_files_of(cls):
            names[name] = {""}
    return names


def familiar_names() -> set[str]:
    """Names of other voice servers: those that stand beside one of ours, and those that are only answered."""
    aliases = [info.validation_alias for cls in settings_classes() for info in cls.model_fields.values()]
    beside = {str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices[1:]}
    return beside | {str(name).upper() for name in FamiliarSettings.model_fields}


def read_by_compose() -> dict[str, set[str]]:
    """Every variable that Compose reads, with its defaults."""
    names: dict[str, set[str]] = {}
    # ${OURS:-${FAMILIAR:-default}} is ours with its default.
    ours = re.sub(r"\$\{([A-Z_]+):-\$\{[A-Z_]+:-([^}]*)\}\}", r"${\1:-\2}", COMPOSE)
    for name, default in re.findall(r"(?<!\$)\$\{([A-Z_]+)(?::-([^}]*))?\}", ours):
        # Something has to be mounted where no secret is in a file.
        names.setdefault(name, set()).add("" if default == "./deploy/no-secret" else default)
    return names


def test_every_setting_is_listed_once() -> None:
    named = [name for name, _ in LINE.findall(EXAMPLE)]
    assert sorted(named) == sorted(set(named))
    assert set(named) == read_by_services().keys() | read_by_compose().keys() | COMPOSE_OWN


def test_every_default_matches_the_settings_classes() -> None:
    shown = dict(LINE.findall(EXAMPLE))
    services = read_by_services()
    assert {name: {shown[name]} for name in services} == services
    compose = read_by_compose()
    assert {name: {shown[name]} for name in compose.keys() - services.keys()} == {
        name: compose[name] for name in compose.keys() - services.keys()
    }


def test_compose_differs_from_the_services_only_where_it_must() -> None:
    services, compose = read_by_services(), read_by_compose()
    differing = {name for name in compose.keys() & services.keys() if compose[name] != services[name]}
    # In a container, 127.0.0.1 is the container, and a given model has a folder of its own; a mount needs a folder.
    # With a GPU there is a second voice.
    assert differing == {
        "ANCHOR_MODELS_OWN_DIR",
        "OLLAMA_URL",
        "STT_WHISPER_MODEL",
        "TTS_FALLBACK_TARGET",
    }


def test_familiar_names_are_documented_and_mentioned() -> None:
    page = (ROOT / "docs/migration.md").read_text("utf-8")
    assert len(familiar_names()) > 10
    for name in familiar_names():
        assert f"| `{name}` |" in page, name
        assert name in EXAMPLE, name


def test_every_setting_has_a_comment() -> None:
    previous = ""
    for line in EXAMPLE.splitlines():
        if LINE.match(line):
            assert previous, f"{line} has no comment"
        previous = line.strip()


def test_the_documented_names_are_listed() -> None:
    documented = "SHARED_SECRET OLLAMA_URL OLLAMA_MODEL_NAME GPU_MEMORY_LIMIT_GB MAX_CONCURRENT_SESSIONS SAMPLE_RATE"
    assert {*documented.split(), "MAX_LATENCY_MS", "VOXTRAL_MODEL_PATH"} <= dict(LINE.findall(EXAMPLE)).keys()


def test_the_unedited_example_sets_only_the_profile() -> None:
    assert dict(dotenv_values(ROOT / ".env.example")) == {"ANCHOR_PROFILE": "embedded", "COMPOSE_PROFILES": "embedded"}
