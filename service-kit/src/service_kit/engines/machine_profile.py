"""What this machine measured of the engines, kept in a file: chooses engines and their number, and limits admission.

`anchor doctor --measure` writes the file, and so does the first start, of containers too; services read it when they
start. Without the file, services choose as for the reference machine: two cores of a server processor of 2021.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_VERSION = 1


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """How fast one engine is here: seconds to the first result of a typical request, and seconds per audio second.

    A typical request is 3 s of speech to transcribe, or a sentence of twelve words to say.
    """

    first_result_s: float
    real_time_factor: float


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """How fast a language model is here: seconds to its first token over a prepared passage, and tokens a second."""

    first_token_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class MachineProfile:
    """The cores and the memory that the services may use, and the measured engines by name.

    An engine that is decided for each language has a row for each: see `language_row`.
    """

    cores: int
    memory_bytes: int
    engines: Mapping[str, EngineSpeed] = field(default_factory=dict[str, EngineSpeed])
    language_models: Mapping[str, ModelSpeed] = field(default_factory=dict[str, ModelSpeed])
    # Engines that a start tried to measure, and could not in its time: the next start does not wait for them again.
    given_up: Sequence[str] = ()


def language_row(engine: str, language: str) -> str:
    """The name of an engine's row for one language, an ISO 639-1 code: `kokoro:es`."""
    return f"{engine}:{language}"


def read_profile(path: Path) -> MachineProfile | None:
    """Return the profile in the file at `path`; None where there is none, or it is unusable, which is logged."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["version"] != _VERSION:
            raise ValueError(f"version {document['version']}")
        engines = {
            str(name): EngineSpeed(float(speed["first_result_s"]), float(speed["real_time_factor"]))
            for name, speed in document["engines"].items()
        }
        # Files of earlier versions have none.
        language_models = {
            str(name): ModelSpeed(float(speed["first_token_s"]), float(speed["tokens_per_s"]))
            for name, speed in document.get("language_models", {}).items()
        }
        given_up = tuple(str(name) for name in document.get("given_up", ()))
        return MachineProfile(int(document["cores"]), int(document["memory_bytes"]), engines, language_models, given_up)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        log.warning("machine profile ignored", extra={"path": str(path), "reason": str(error)})
        return None


def write_profile(path: Path, profile: MachineProfile) -> None:
    """Replace the file at `path`. Raises `OSError`."""
    document = {"version": _VERSION, **asdict(profile)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    part.replace(path)
