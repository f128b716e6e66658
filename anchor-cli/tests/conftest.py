"""Fixtures shared by the tests of the command; their classes are in modules of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from anchor_double import AnchorDouble, serve_anchor
from free_ports import find_free_port
from hub_double import CONFIG, WEIGHTS, Hub, serving, store_of
from rich.console import Console
from service_kit.audio import MICROPHONE, to_pcm

pytest_plugins = ["service_kit.testing.plugin"]


@pytest.fixture
def anchor() -> Callable[..., AbstractAsyncContextManager[AnchorDouble]]:
    return serve_anchor


@pytest.fixture
def question() -> bytes:
    """Microphone PCM: 200 ms of sound, 60 ms of silence."""
    samples = 0.5 * np.sin(np.arange(MICROPHONE.rate_hz // 5) * 0.2)
    return to_pcm(samples.astype(np.float32)) + bytes(MICROPHONE.bytes_for(60))


@pytest.fixture
def short_root() -> Iterator[Path]:
    """An empty folder with a short path: pytest's own are too long for the supervisor's socket."""
    with tempfile.TemporaryDirectory(prefix="anchor-") as folder:
        yield Path(folder)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds free ports; each is returned once and lies outside the kernel's ephemeral range."""
    return find_free_port


@pytest.fixture
def ports(free_port: Callable[[], int]) -> dict[str, int]:
    """Free ports for a whole mesh, by setting name."""
    programs = ("vad", "stt", "tts", "gpu", "orchestrator")
    return {f"{name}_{protocol}_port": free_port() for name in programs for protocol in ("grpc", "http")}


@pytest.fixture
def hub() -> Iterator[Any]:
    """A hub with one model of two files."""
    with serving(Hub({"model.safetensors": WEIGHTS, "config.json": CONFIG})) as hub:
        yield hub


@pytest.fixture
def store(hub: Any, tmp_path: Path) -> Any:
    """A model store that pulls from `hub`."""
    return store_of(hub, tmp_path)


@pytest.fixture
def console() -> Iterator[Console]:
    """A console that records its output."""
    with Path(os.devnull).open("w") as null:
        yield Console(width=120, record=True, file=null)


@pytest.fixture
def question_wav(tmp_path: Path, question: bytes) -> Path:
    path = tmp_path / "question.wav"
    soundfile.write(path, memoryview(question).cast("h"), MICROPHONE.rate_hz)
    return path
