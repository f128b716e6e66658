"""Fixtures of the end-to-end tests: meshes of real processes, questions, and recordings of people."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from mesh_launcher import PROJECT, RunningMesh, launch_mesh, launch_scripted_mesh, reserve_ports

QUESTIONS = PROJECT / "content/questions"
RECORDINGS = PROJECT.parent / "shared/speech"


@pytest.fixture
def free_ports() -> Iterator[Callable[[int], list[int]]]:
    """Reserves ports for processes that a test starts beside its mesh."""
    with ExitStack() as stack:
        yield lambda count: stack.enter_context(reserve_ports(count))


@pytest.fixture(scope="session")
def mesh() -> Iterator[RunningMesh]:
    """One mesh on the minimal models, shared by all tests that leave it unchanged."""
    with launch_mesh() as mesh:
        yield mesh


@pytest.fixture(scope="session")
def default_mesh() -> Iterator[RunningMesh]:
    """One mesh on the default models, shared by all tests that leave it unchanged."""
    with launch_mesh(ANCHOR_MODELS="default") as mesh:
        yield mesh


@pytest.fixture
def scripted_mesh(tmp_path: Path) -> Iterator[Callable[..., RunningMesh]]:
    """Starts a mesh with engines that play the given script, on real voice activity detection."""
    with ExitStack() as stack:

        def launch(script: str, **environment: str) -> RunningMesh:
            path = tmp_path / "script.toml"
            path.write_text(script, "utf-8")
            return stack.enter_context(launch_scripted_mesh(path, **environment))

        yield launch


@dataclass(frozen=True)
class Question:
    """A recorded question and the passage that answers it."""

    path: Path
    text: str
    topic: str


@pytest.fixture(scope="session")
def questions() -> list[Question]:
    listed = tomllib.loads((QUESTIONS / "questions.toml").read_text("utf-8"))["question"]
    return [Question(QUESTIONS / entry["file"], entry["text"], entry["topic"]) for entry in listed]


@pytest.fixture(scope="session")
def topic_of() -> Callable[[str], str]:
    """The topic of the passage that shares the longest sentence with a reply; "" for none."""
    passages = {path.stem: _normal(path.read_text("utf-8")) for path in (PROJECT / "content/knowledge").glob("*.md")}

    def topic(reply: str) -> str:
        sentences = [_normal(sentence) for sentence in re.split(r"(?<=[.!?])\s", reply)]
        longest = {
            name: max((len(sentence) for sentence in sentences if sentence and sentence in text), default=0)
            for name, text in passages.items()
        }
        best = max(longest, key=longest.__getitem__)
        return best if longest[best] > 20 else ""

    return topic


def _normal(text: str) -> str:
    return " ".join(text.split()).strip()


@pytest.fixture
def recording_of() -> Callable[[str], Path]:
    """The path of a recording of a person, by file name."""
    if not RECORDINGS.is_dir():
        pytest.skip("needs recordings of people in ../shared/speech, which are not part of this project")
    return lambda name: RECORDINGS / name
