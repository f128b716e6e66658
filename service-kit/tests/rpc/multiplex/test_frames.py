"""Batches of a multiplexed stream: what leaves together, and how often."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from anchor.multiplex.v1 import multiplex_pb2
from service_kit.rpc.multiplex.frames import (
    MAX_MULTIPLEXED_BYTES,
    WINDOW_BYTES,
    FrameQueue,
    ReceiveBuffer,
    flush_interval_s,
)

WITHIN_S = 20.0


async def test_frames_queued_during_a_write_leave_as_one_batch():
    queue = FrameQueue()
    batches = asyncio.Queue()
    written = asyncio.Event()

    async def write_slowly(frames):
        batches.put_nowait([frame.call_id for frame in frames])
        await written.wait()

    writing = asyncio.create_task(queue.write_batches(write_slowly, lambda: 1))
    async with asyncio.timeout(WITHIN_S):
        queue.append(multiplex_pb2.ClientFrame(call_id=1))
        assert await batches.get() == [1]
        for call_id in (2, 3, 4):
            queue.append(multiplex_pb2.ClientFrame(call_id=call_id))
        queue.append(multiplex_pb2.ClientFrame(call_id=5, message=bytes(MAX_MULTIPLEXED_BYTES)))
        written.set()
        assert [await batches.get() for _ in range(2)] == [[2, 3, 4], [5]]
    writing.cancel()


async def test_with_many_calls_batches_leave_at_the_flush_interval():
    queue = FrameQueue()
    loop = asyncio.get_running_loop()
    batches = []

    async def record(frames):
        batches.append((loop.time(), len(frames)))

    writing = asyncio.create_task(queue.write_batches(record, lambda: 60))
    for _ in range(40):
        queue.append(multiplex_pb2.ClientFrame(call_id=1))
        await asyncio.sleep(0.002)
    async with asyncio.timeout(WITHIN_S):
        while sum(count for _, count in batches) < 40:
            await asyncio.sleep(0.002)
    writing.cancel()
    assert batches[0][1] == 1, "the first frame leaves at once"
    times_s = [at_s for at_s, _ in batches]
    assert min(after - before for before, after in pairwise(times_s)) > 0.010


async def test_four_calls_or_fewer_have_no_flush_interval():
    assert (flush_interval_s(1), flush_interval_s(4)) == (0, 0)
    assert 0 < flush_interval_s(5) < flush_interval_s(12) < flush_interval_s(30)
    assert flush_interval_s(30) == flush_interval_s(1000) < 0.020


def test_empty_messages_take_of_the_window_too():
    buffer = ReceiveBuffer(lambda size: None)
    accepted = next(count for count in range(WINDOW_BYTES + 2) if not buffer.add_message(b""))
    assert accepted == WINDOW_BYTES


async def test_messages_end_once_however_often_the_end_comes():
    buffer = ReceiveBuffer(lambda size: None)
    buffer.add_message(b"last")
    for _ in range(3):
        buffer.close()
    assert buffer.add_message(b"too late"), "a late message is dropped, as of a call that has ended"
    assert [await buffer.read_message() for _ in range(3)] == [b"last", None, None]
