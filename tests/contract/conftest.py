"""Real services in this process, on free ports, behind real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from service_kit.rpc.channel import open_service_channel
from service_kit.service import Service


@asynccontextmanager
async def running(service: Service, multiplex: bool):
    """Run `service` until it is ready; yields a channel to it."""
    stop = asyncio.Event()
    life = asyncio.create_task(service.run(stop))
    while not service.health.ready:
        assert not life.done(), life.result()
        await asyncio.sleep(0.01)
    try:
        async with open_service_channel(f"127.0.0.1:{service.grpc_port}", multiplex=multiplex) as channel:
            yield channel
    finally:
        stop.set()
        await life


@pytest.fixture(params=[False, True], ids=["plain", "multiplexed"])
def run_service(request):
    return partial(running, multiplex=request.param)


@pytest.fixture
def run_multiplexed():
    """For a call that is refused before its first read: on a plain channel, a write may hide the reason."""
    return partial(running, multiplex=True)
