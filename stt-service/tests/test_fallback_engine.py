"""Who hears where the settings name nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from service_kit.engines.info import EngineInfo
from service_kit.errors import AnchorError, EngineFailed, InvalidRequest, PeerFailed
from stt_service.app import build, build_engine
from stt_service.engine import SttStream, TranscriptionConfig
from stt_service.fallback_engine import EngineWithStandIn
from stt_service.settings import SttSettings


class Ear:
    """An engine that may fail to load."""

    def __init__(self, name: str, failure: AnchorError | None = None) -> None:
        self.info = EngineInfo(name, "", "1")
        self.loaded = False
        self._failure = failure

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        if self._failure:
            raise self._failure
        self.loaded = True
        try:
            yield
        finally:
            self.loaded = False

    def open(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Any]:
        yield SimpleNamespace(ear=self)


@pytest.mark.parametrize("failure", [InvalidRequest("stt.no_model", "none there"), EngineFailed("stt.x", "none there")])
async def test_the_stand_in_hears_where_the_other_cannot_be_loaded(failure: AnchorError) -> None:
    stand_in = Ear("small")
    engine = EngineWithStandIn(Ear("large", failure), stand_in)
    async with engine.lifespan(), engine.open(TranscriptionConfig()) as stream:
        assert stand_in.loaded
        assert vars(stream)["ear"] is stand_in
        assert engine.info.name == "small"
        assert engine.degraded == "large: none there; small hears in its place"
    assert not stand_in.loaded


async def test_the_stand_in_is_not_even_loaded_where_nobody_needs_it() -> None:
    leading, stand_in = Ear("large"), Ear("small")
    engine = EngineWithStandIn(leading, stand_in)
    async with engine.lifespan(), engine.open(TranscriptionConfig()) as stream:
        assert vars(stream)["ear"] is leading
        assert (engine.info.name, engine.degraded, stand_in.loaded) == ("large", "", False)
    assert not leading.loaded


async def test_what_fails_while_it_hears_is_not_taken_for_a_failure_to_load() -> None:
    leading, stand_in = Ear("large"), Ear("small")
    engine = EngineWithStandIn(leading, stand_in)
    with pytest.raises(EngineFailed, match="lost"):
        async with engine.lifespan():
            raise EngineFailed("stt.engine_failed", "lost")
    assert (engine.degraded, leading.loaded, stand_in.loaded) == ("", False, False)


async def test_a_failure_that_might_pass_ends_the_start() -> None:
    engine = EngineWithStandIn(Ear("large", PeerFailed("stt.server_slow", "late")), Ear("small"))
    with pytest.raises(PeerFailed):
        async with engine.lifespan():
            pytest.fail("it was loaded")


@pytest.mark.parametrize(
    ("profile", "engine", "heard"),
    [
        ("embedded", "", "pocketsphinx"),
        ("cpu", "", "faster-whisper"),
        ("gpu", "", "faster-whisper"),
        ("gpu", "pocketsphinx", "pocketsphinx"),
        ("embedded", "faster-whisper", "faster-whisper"),
    ],
)
def test_the_profile_decides_where_no_engine_is_named(profile: Any, engine: str, heard: str) -> None:
    built = build_engine(SttSettings(profile=profile, engine=engine))
    assert built.info.name == heard
    assert isinstance(built, EngineWithStandIn) == (profile != "embedded" and not engine)


async def test_without_a_model_the_service_starts_all_the_same_and_says_who_hears(
    settings: SttSettings, tmp_path: Path
) -> None:
    bare = {"profile": "cpu", "engine": "", "whisper_model": tmp_path / "nothing", "grpc_port": 0, "http_port": 0}
    service = build(settings.model_copy(update=bare))
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(30):
        while not service.health.ready:
            await asyncio.sleep(0.02)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as client:
        health = (await client.get("/health")).json()
    assert health["engine"] == "pocketsphinx"
    assert "nothing is no converted Whisper" in health["degraded"]
    stop.set()
    await running


async def test_an_engine_that_is_named_has_no_stand_in(tmp_path: Path) -> None:
    engine = build_engine(SttSettings(profile="cpu", engine="faster-whisper", whisper_model=tmp_path / "nothing"))
    with pytest.raises(InvalidRequest, match="no converted Whisper"):
        async with engine.lifespan():
            pytest.fail("it was loaded")
