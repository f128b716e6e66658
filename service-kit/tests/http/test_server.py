"""The HTTP server's own loop."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.http.server import http_server


async def app(scope, receive, send) -> None:
    raise AssertionError("not called")


@pytest.mark.virtual_clock
async def test_an_idle_server_wakes_twice_a_second(monkeypatch) -> None:
    server = http_server(app, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    ticks: list[float] = []

    async def on_tick(counter: int) -> bool:
        # Others do not renew the date header.
        assert counter % 10 == 0
        ticks.append(loop.time())
        return len(ticks) == 5

    monkeypatch.setattr(server, "on_tick", on_tick)
    await server.main_loop()
    assert ticks[-1] - ticks[0] == pytest.approx(2.0)
