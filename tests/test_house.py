"""The rules of the house: plain names, packages of one subject, events handled in one place.

`CONTRIBUTING.md` says why; import directions are held by import-linter (`make lint`).
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {
    "anchor-cli": ROOT / "anchor-cli/src/anchor_cli",
    "espeak-worker": ROOT / "tts-service/espeak-worker/src/espeak_worker",
    "gpu-monitor": ROOT / "gpu-monitor/src/gpu_monitor",
    "llm-service": ROOT / "llm-service/src/llm_service",
    "orchestrator": ROOT / "orchestrator/src/orchestrator",
    "service-kit": ROOT / "service-kit/src/service_kit",
    "stt-service": ROOT / "stt-service/src/stt_service",
    "tts-service": ROOT / "tts-service/src/tts_service",
    "vad-service": ROOT / "vad-service/src/vad_service",
}
MAX_MODULES = 14
MIN_LINES = 20
MAX_TEST_NAME = 70
# A service's metrics are one file, however few they are; Alembic asks for `env.py`.
SHORT_MODULES = {"__init__.py", "__main__.py", "env.py", "metrics.py"}
# Metaphors that once named modules, functions and classes; each stood for several things.
# fmt: off
RETIRED = frozenset({
    "answering", "attendance", "beat", "bulletin", "carrier", "casts", "doors", "doorstep", "ears", "edges",
    "exchange", "glance", "hang_up", "hear", "hearing", "hearing_aids", "inbox", "inquiry", "judgement", "judging",
    "kept_engine", "line", "living", "mouth", "news", "numbering", "own_voice", "peers", "places", "rest", "resting",
    "rouse", "savings", "sounded", "sounding", "speaking", "spoken", "stand_in", "tell", "thrift", "told", "voicing",
    "waking", "warming", "wishes", "woken",
})
# fmt: on
# The same thing on its way through the orchestrator: as a service reports it, and as the client receives it.
PORTS_AND_MESSAGES = {
    "FinalTranscript",
    "PartialTranscript",
    "SpeechMark",
    "SpeechStarted",
    "SpeechStopped",
    "TurnEndPredicted",
}


def modules(distribution: str) -> list[Path]:
    return sorted(DISTRIBUTIONS[distribution].rglob("*.py"))


def definitions(path: Path) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """All classes and functions of a module, at any depth."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_package_holds_one_subject(distribution: str) -> None:
    packages = Counter(path.parent for path in modules(distribution) if path.name != "__init__.py")
    assert {str(package): count for package, count in packages.items() if count > MAX_MODULES} == {}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_module_is_worth_a_file(distribution: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in modules(distribution)
        if path.name not in SHORT_MODULES
    }
    assert {path: lines for path, lines in lengths.items() if lines < MIN_LINES} == {}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_package_says_what_it_holds(distribution: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(distribution)
        if not ast.get_docstring(ast.parse(path.read_text("utf-8"))) and path.name != "__main__.py"
    ]
    assert silent == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_class_name_means_one_thing(distribution: str) -> None:
    names = Counter(
        node.name
        for path in modules(distribution)
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    twice = {name for name, count in names.items() if count > 1}
    assert twice - PORTS_AND_MESSAGES == set()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_retired_names_stay_retired(distribution: str) -> None:
    used = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(distribution)
        for name in (path.stem, *(node.name for node in definitions(path) if not node.name.startswith("_")))
        # `rest.py` is the REST API.
        if name.lower() in RETIRED and path.name != "rest.py"
    }
    assert used == set()


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("conversation/turns/turn_taking.py", "handle"),
        ("conversation/session/session.py", "_handle_session_event"),
        ("conversation/session/session.py", "_perform_action"),
    ],
)
def test_an_event_without_a_handler_is_a_type_error(module: str, function: str) -> None:
    (found,) = [node for node in definitions(DISTRIBUTIONS["orchestrator"] / module) if node.name == function]
    (match,) = [node for node in ast.walk(found) if isinstance(node, ast.Match)]
    assert ast.unparse(match.cases[-1]).startswith("case _:\n    assert_never(")


def test_a_support_module_has_a_name_of_its_own() -> None:
    pytest_options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    names = Counter(
        path.stem
        for folder in pytest_options["pythonpath"]
        for path in (ROOT / folder).glob("*.py")
        if path.name not in {"conftest.py", "__init__.py"} and not path.name.startswith("test_")
    )
    assert {name for name, count in names.items() if count > 1} == set()


def test_test_names_can_be_read() -> None:
    folders = [ROOT / "tests", ROOT / "tools", *(ROOT / name / "tests" for name in DISTRIBUTIONS)]
    long = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in folders
        for path in folder.rglob("test_*.py")
        for node in definitions(path)
        if node.name.startswith("test_") and len(node.name) > MAX_TEST_NAME
    }
    assert long == set()
