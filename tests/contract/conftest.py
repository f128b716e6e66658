"""Real services in this process, on free ports, behind real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from service_kit.rpc.channel import open_channel
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.service import Service


@asynccontextmanager
async def own_streams(target: str):
    """A channel on which each call has a stream of its own."""
    channel = open_channel(target)
    try:
        yield channel
    finally:
        await channel.close()


def one_carrier(target: str):
    """A channel whose calls share one stream, as the orchestrator uses it."""
    return MultiplexedChannel(open_channel(target))


@asynccontextmanager
async def running(service: Service, connect=own_streams):
    """The service, ready; yields a channel to it."""
    stop = asyncio.Event()
    life = asyncio.create_task(service.run(stop))
    while not service.health.ready:
        assert not life.done(), life.result()
        await asyncio.sleep(0.01)
    try:
        async with connect(f"127.0.0.1:{service.grpc_port}") as channel:
            yield channel
    finally:
        stop.set()
        await life


@pytest.fixture(params=[own_streams, one_carrier])
def run_service(request):
    return partial(running, connect=request.param)


@pytest.fixture
def run_on_carrier():
    """For a call that is refused before it is read: on a stream of its own, a write may hide why."""
    return partial(running, connect=one_carrier)
