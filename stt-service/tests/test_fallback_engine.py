"""The profile's engine and its fallback."""

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
from stt_service import app
from stt_service.app import build, build_engine
from stt_service.engine import SttStream, TranscriptionConfig
from stt_service.fallback_engine import FallbackEngine
from stt_service.settings import SttSettings


class FakeEngine:
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

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Any]:
        yield SimpleNamespace(engine=self)


@pytest.mark.parametrize("failure", [InvalidRequest("stt.no_model", "none there"), EngineFailed("stt.x", "none there")])
async def test_the_fallback_replaces_an_engine_that_cannot_be_loaded(failure: AnchorError) -> None:
    fallback = FakeEngine("small")
    engine = FallbackEngine(FakeEngine("large", failure), lambda: fallback)
    async with engine.lifespan(), engine.open_stream(TranscriptionConfig()) as stream:
        assert fallback.loaded
        assert vars(stream)["engine"] is fallback
        assert engine.info.name == "small"
        assert engine.degraded == "large: none there; small is used instead"
    assert not fallback.loaded


async def test_the_fallback_is_not_loaded_unless_needed() -> None:
    preferred, fallback = FakeEngine("large"), FakeEngine("small")
    engine = FallbackEngine(preferred, lambda: fallback)
    async with engine.lifespan(), engine.open_stream(TranscriptionConfig()) as stream:
        assert vars(stream)["engine"] is preferred
        assert (engine.info.name, engine.degraded, fallback.loaded) == ("large", "", False)
    assert not preferred.loaded


async def test_a_failure_after_loading_does_not_activate_the_fallback() -> None:
    preferred, fallback = FakeEngine("large"), FakeEngine("small")
    engine = FallbackEngine(preferred, lambda: fallback)
    with pytest.raises(EngineFailed, match="lost"):
        async with engine.lifespan():
            raise EngineFailed("stt.engine_failed", "lost")
    assert (engine.degraded, preferred.loaded, fallback.loaded) == ("", False, False)


async def test_a_retryable_failure_to_load_is_raised() -> None:
    engine = FallbackEngine(FakeEngine("large", PeerFailed("stt.server_slow", "late")), lambda: FakeEngine("small"))
    with pytest.raises(PeerFailed):
        async with engine.lifespan():
            pytest.fail("it was loaded")


def failing(name: str) -> FakeEngine:
    return FakeEngine(name, EngineFailed("stt.x", "none there"))


def unneeded() -> FakeEngine:
    raise AssertionError("built without need")


async def test_fallbacks_are_tried_in_order_and_built_when_needed() -> None:
    engine = FallbackEngine(failing("large"), lambda: failing("medium"), lambda: FakeEngine("small"), unneeded)
    async with engine.lifespan():
        assert engine.info.name == "small"
        assert engine.degraded == "large: none there; medium: none there; small is used instead"


def missing() -> FakeEngine:
    raise EngineFailed("stt.not_installed", "pocketsphinx is not installed")


async def test_without_any_engine_the_reasons_are_all_given() -> None:
    engine = FallbackEngine(failing("large"), missing)
    with pytest.raises(EngineFailed, match=r"large: none there; pocketsphinx is not installed") as caught:
        async with engine.lifespan():
            pytest.fail("it was loaded")
    assert caught.value.code == "stt.no_engine"


async def test_a_degraded_fallback_adds_its_own_reason() -> None:
    small = FakeEngine("small")
    vars(small)["degraded"] = "no partials"
    engine = FallbackEngine(failing("large"), lambda: small)
    async with engine.lifespan():
        assert engine.degraded == "large: none there; small is used instead; no partials"


def test_a_recogniser_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.ENGINES, "pocketsphinx", "no_such_module:Engine")
    with pytest.raises(EngineFailed, match="pocketsphinx is not installed"):
        build_engine(SttSettings(profile="embedded", models="minimal"))


@pytest.mark.parametrize(
    ("profile", "engine", "expected"),
    [
        ("embedded", "", "pocketsphinx"),
        ("cpu", "", "whisper"),
        ("gpu", "", "whisper"),
        ("gpu", "pocketsphinx", "pocketsphinx"),
        ("embedded", "whisper", "whisper"),
        ("embedded", "faster-whisper", "whisper"),
    ],
)
def test_the_profile_selects_the_engine_unless_one_is_named(profile: Any, engine: str, expected: str) -> None:
    built = build_engine(SttSettings(profile=profile, engine=engine, models="minimal"))
    assert built.info.name == expected
    assert isinstance(built, FallbackEngine) == (profile != "embedded" and not engine)


def test_the_default_models_select_whisper() -> None:
    built = build_engine(SttSettings(profile="embedded", models="default"))
    assert (built.info.name, built.info.model) == ("whisper", "whisper-base")
    assert isinstance(built, FallbackEngine)


async def test_without_a_model_the_service_starts_with_the_fallback(settings: SttSettings, tmp_path: Path) -> None:
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
    assert "nothing is not a converted Whisper model" in health["degraded"]
    stop.set()
    await running


async def test_a_named_engine_has_no_fallback(tmp_path: Path) -> None:
    engine = build_engine(SttSettings(profile="cpu", engine="whisper", whisper_model=tmp_path / "nothing"))
    with pytest.raises(InvalidRequest, match="not a converted Whisper model"):
        async with engine.lifespan():
            pytest.fail("it was loaded")
