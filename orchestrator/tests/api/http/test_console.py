"""Serving of the built web console."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from orchestrator.api.http.console import console_routes

FILES = {
    "index.html": "<!doctype html>",
    "icon.svg": "<svg/>",
    "notes.txt": "not for the world",
    "assets/index-C_g17DZ5.css": "a{}",
    "assets/index-CfbqbgmS.js": "1",
    "assets/capture.worklet-DLvb-9Gf.js": "2",
    "assets/plain.js": "3",
    "assets/index-CfbqbgmS.js.map": "{}",
}


@pytest.fixture
def web_dir(tmp_path: Path) -> Path:
    """A web console as its build leaves it."""
    (tmp_path / "assets").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
async def client(web_dir: Path) -> AsyncGenerator[httpx.AsyncClient]:
    async with api_client(web_dir) as client:
        yield client


def api_client(web_dir: Path) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(console_routes(web_dir))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://anchor")


@pytest.mark.parametrize(
    ("path", "kind", "kept"),
    [
        ("/", "text/html; charset=utf-8", "no-store"),
        ("/icon.svg", "image/svg+xml", "no-store"),
        ("/assets/index-C_g17DZ5.css", "text/css; charset=utf-8", "immutable"),
        ("/assets/index-CfbqbgmS.js", "text/javascript; charset=utf-8", "immutable"),
        ("/assets/capture.worklet-DLvb-9Gf.js", "text/javascript; charset=utf-8", "immutable"),
        ("/assets/plain.js", "text/javascript; charset=utf-8", "no-store"),
    ],
)
async def test_files_have_a_media_type_and_cache_headers(client, path, kind, kept):
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert kept in answer.headers["cache-control"]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "worker-src 'self'" in policy
    assert "unsafe" not in policy
    assert "blob:" not in policy


@pytest.mark.parametrize("path", ["/notes.txt", "/assets/index-CfbqbgmS.js.map", "/assets/../notes.txt", "/assets/"])
async def test_other_paths_are_not_served(client, path):
    assert (await client.get(path)).status_code == 404


async def test_missing_build_explains_how_to_build(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        async with api_client(tmp_path / "dist") as client:
            answer = await client.get("/")
    assert answer.status_code == 503
    assert "make web" in answer.text
    assert "<style" not in answer.text
    assert [record.message for record in caplog.records] == ["web console is not built: run make web"]
