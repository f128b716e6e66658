"""Fixtures: recorded questions, settings for each engine, and the fake servers that some engines need."""

from __future__ import annotations

import socket
import wave
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from realtime_server import RealtimeTranscriptionServer, serve_realtime
from stt_service.settings import SttSettings
from transcribe_client import OpenMicrophone, serve_engine
from transcription_server import TranscriptionServer, serve_transcriptions

pytest_plugins = ["service_kit.testing.plugin"]

FERRY = """---
title: the ferry
keywords: boat, crossing
questions:
- When does the ferry leave?
---
The ferry to the island leaves at nine.
"""
FOOTBALL = """---
title: the football match
questions:
- Who won the football match?
---
The harbor team won the football match on Saturday.
"""


def pcm_of(path: Path) -> bytes:
    with wave.open(str(path)) as clip:
        return clip.readframes(clip.getnframes())


@pytest.fixture(scope="session")
def ferry() -> bytes:
    """ "What is the latest on the ferry", 2 s."""
    return pcm_of(Path(__file__).parent / "audio" / "ferry.wav")


@pytest.fixture(scope="session")
def football() -> bytes:
    """ "Who won the football match", 2 s."""
    return pcm_of(Path(__file__).parent / "audio" / "football.wav")


@pytest.fixture(scope="session")
def fast() -> bytes:
    """A long sentence at 300 words a minute, 5 s; it ends in "in time"."""
    return pcm_of(Path(__file__).parent / "audio" / "fast.wav")


@pytest.fixture(scope="session")
def real_models() -> Path:
    """The models folder of the project, with Whisper and Moonshine; without them the test is skipped."""
    folder = Path(__file__).parents[2] / "models"
    for name in ("whisper-base", "whisper-tiny.en", "moonshine-tiny-en"):
        if not (folder / name).is_dir():
            pytest.skip(f"no {name} in {folder}: run `make setup`")
    return folder


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port that is bound but does not listen, so that no other process can listen there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small knowledge folder, with the models built from it beside it; shared by all tests."""
    folder = tmp_path_factory.mktemp("newsroom")
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "ferry.md").write_text(FERRY)
    (folder / "knowledge" / "football.md").write_text(FOOTBALL)
    return folder


@pytest.fixture
async def server(ferry: bytes, football: bytes) -> AsyncGenerator[TranscriptionServer]:
    """A transcription server on a free port that recognises both clips."""
    server = TranscriptionServer()
    server.known = {ferry: "what is the latest on the ferry", football: "who won the football match"}
    async with serve_transcriptions(server):
        yield server


@pytest.fixture
def voxtral(settings: SttSettings, server: TranscriptionServer) -> SttSettings:
    """Settings of the Voxtral engine for `server`."""
    return settings.model_copy(
        update={"engine": "voxtral", "voxtral_url": server.url, "voxtral_start_s": 5.0, "partial_interval_ms": 300}
    )


@pytest.fixture
async def realtime_server(ferry: bytes, football: bytes) -> AsyncGenerator[RealtimeTranscriptionServer]:
    """A realtime transcription server on a free port that recognises both clips."""
    clips = TranscriptionServer()
    clips.known = {ferry: "what is the latest on the ferry", football: "who won the football match"}
    async with serve_realtime(RealtimeTranscriptionServer(clips.text_of)) as server:
        yield server


@pytest.fixture
def voxtral_realtime(settings: SttSettings, realtime_server: RealtimeTranscriptionServer) -> SttSettings:
    """Settings of the Voxtral Realtime engine for `realtime_server`."""
    changes = {
        "engine": "voxtral-realtime",
        "voxtral_realtime_url": realtime_server.url,
        "voxtral_realtime_start_s": 5.0,
    }
    return settings.model_copy(update={**changes, "partial_interval_ms": 100})


@pytest.fixture
def settings(folder: Path) -> SttSettings:
    return SttSettings(
        engine="pocketsphinx",
        knowledge_dir=folder / "knowledge",
        models_dir=folder / "models",
        max_streams=2,
        # Long enough for a loaded machine.
        second_opinion_ms=10_000,
    )


@pytest.fixture
def whisper(settings: SttSettings, real_models: Path) -> SttSettings:
    """Settings of Whisper with the real models, the small one as one process."""
    changes = {"engine": "whisper", "models_dir": real_models, "models_lock": real_models.parent / "models.lock"}
    changes |= {"whisper_model": Path("whisper-tiny.en"), "whisper_workers": 1, "partial_interval_ms": 100}
    return settings.model_copy(update=changes)


@pytest.fixture
def transport() -> Any:
    """How `serve` serves: over the multiplexed channel; test_servicer.py overrides it with plain gRPC as well.

    The engines' own tests stay on the multiplexed channel: some write audio while a call fails, and a write on a plain
    gRPC call that meets the failure loses its status.
    """
    # Imported here: pytest must register the plugin before its first import.
    from service_kit.testing.plugin import serve_multiplexed

    return serve_multiplexed


@pytest.fixture
def serve(transport: Any) -> Callable[[SttSettings], AbstractAsyncContextManager[tuple[Any, OpenMicrophone]]]:
    """Serve an engine: `async with serve(settings) as (engine, open_microphone)`."""
    return partial(serve_engine, transport=transport)
