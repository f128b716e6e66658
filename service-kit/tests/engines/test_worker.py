"""One thread for blocking work."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity


@pytest.fixture
def worker():
    worker = EngineWorker("test", max_waiting=2)
    yield worker
    worker.close()


def niceness():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_work_runs_on_one_thread_off_the_event_loop(worker):
    threads = await asyncio.gather(*(worker.run(threading.get_ident) for _ in range(2)))
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_an_error_is_raised_to_its_caller(worker):
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: "well") == "well"


async def test_work_beyond_the_queue_limit_is_refused(worker):
    may_end = threading.Event()
    first = asyncio.create_task(worker.run(may_end.wait))
    second = asyncio.create_task(worker.run(may_end.wait))
    await asyncio.sleep(0)
    with pytest.raises(AtCapacity):
        await worker.run(may_end.wait)
    may_end.set()
    assert await asyncio.gather(first, second) == [True, True]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux only")
async def test_niceness_lowers_the_priority_of_the_thread():
    worker = EngineWorker("test", max_waiting=1, niceness=5)
    try:
        assert await worker.run(niceness) == min(19, niceness() + 5)
    finally:
        worker.close()
