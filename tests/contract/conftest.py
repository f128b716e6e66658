"""Real services in this process, on free ports, behind real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from service_kit.channel import open_channel
from service_kit.service import Service


@asynccontextmanager
async def running(service: Service):
    """The service, ready; yields a channel to it."""
    stop = asyncio.Event()
    life = asyncio.create_task(service.run(stop))
    while not service.health.ready:
        assert not life.done(), life.result()
        await asyncio.sleep(0.01)
    channel = open_channel(f"127.0.0.1:{service.grpc_port}")
    try:
        yield channel
    finally:
        await channel.close()
        stop.set()
        await life


@pytest.fixture
def run_service():
    return running
