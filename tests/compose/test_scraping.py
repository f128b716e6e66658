"""A real Prometheus with deploy/prometheus scrapes every service and evaluates the alerts.

The image in compose.yaml cannot be fetched everywhere, so Debian's package `prometheus` replaces it. It runs outside
the mesh: only the names of the targets are replaced, by the ports published on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from compose_support import PROJECT, SERVICES, free_ports, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DEPLOY = PROJECT / "deploy/prometheus"


@pytest.fixture
def prometheus(containers, tmp_path: Path) -> Iterator[str]:
    """The URL of a Prometheus that scrapes the mesh once a second."""
    if shutil.which("prometheus") is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    config = (DEPLOY / "prometheus.yml").read_text("utf-8").replace("10s", "1s")
    for service, published in containers.ports.items():
        inside = containers.inspect(service)["Config"]["ExposedPorts"]
        http = next(port for port in (name.partition("/")[0] for name in inside) if not port.startswith("90"))
        assert config.count(f"{service}:{http}") == 1
        config = config.replace(f"{service}:{http}", f"127.0.0.1:{published}")
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", tmp_path / "prometheus.log"
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with running([*command, f"--web.listen-address=127.0.0.1:{port}"], log) as program:
        deadline_s = time.monotonic() + 60
        while not _answers(url):
            assert program.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline_s, log.read_text("utf-8")
            time.sleep(0.1)
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.HTTPError:
        return False


async def value_of(url: str, query: str) -> dict[str, float]:
    """The value of a query for each service."""
    async with httpx.AsyncClient(base_url=url) as http:
        answer = (await http.get("/api/v1/query", params={"query": query})).json()
    return {one["metric"].get("service", ""): float(one["value"][1]) for one in answer["data"]["result"]}


async def test_every_service_is_scraped_and_ready(prometheus) -> None:
    async with asyncio.timeout(60):
        while await value_of(prometheus, "up * anchor_ready") != dict.fromkeys(SERVICES, 1.0):
            await asyncio.sleep(0.5)


async def test_a_turn_appears_in_the_metrics(containers, prometheus, question) -> None:
    turns = 'sum(anchor_turn_stage_seconds_count{stage="first_frame_sent"})'
    spoken = "sum(anchor_tts_audio_seconds_total)"
    async with asyncio.timeout(60):
        while not (before := await value_of(prometheus, spoken)):
            await asyncio.sleep(0.5)
    async with open_session(containers.url) as talk:
        await run_turn(talk, load_clip(question.path), listen_s=1.0)
    async with asyncio.timeout(60):
        while (await value_of(prometheus, spoken))[""] <= before[""]:
            await asyncio.sleep(0.5)
        while not (await value_of(prometheus, turns)).get(""):
            await asyncio.sleep(0.5)


async def test_every_alert_is_valid_and_none_fires_on_a_healthy_mesh(prometheus) -> None:
    async with httpx.AsyncClient(base_url=prometheus) as http, asyncio.timeout(60):
        while True:
            groups = (await http.get("/api/v1/rules")).json()["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            if rules and all(rule["health"] != "unknown" for rule in rules):
                break
            await asyncio.sleep(0.5)
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
    assert [
        rule["name"] for rule in rules if rule["state"] == "firing" and rule["labels"]["severity"] == "critical"
    ] == []
