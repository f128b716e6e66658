"""The routes of every service show no credentials."""

from __future__ import annotations

import httpx
import pytest
from service_kit.engines.info import EngineInfo
from service_kit.health import Health, Status
from service_kit.http.routes import http_app


@pytest.mark.parametrize("path", ["/health", "/ready", "/info"])
async def test_no_route_shows_the_credentials_of_a_url(path: str) -> None:
    url = "http://me:hush@gpu:11434/caf\u00e9"
    health = Health("test", EngineInfo("test", url, "1"))
    health.move_to(Status.READY, f"{url} does not answer")
    health.details = lambda: {"servers": [{"url": url}]}
    app = http_app(health, lambda: {"server": url})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "hush" not in answer.text
    assert "http://***@gpu:11434/caf\u00e9" in str(answer.json())
