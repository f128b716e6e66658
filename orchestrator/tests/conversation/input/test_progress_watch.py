"""The deadline on the signs of work of another service's stream."""

from __future__ import annotations

import asyncio
import time

import pytest
from orchestrator.conversation.input.progress_watch import ProgressWatch
from service_kit.errors import PeerFailed
from service_kit.tasks import stop_task

ALLOWED_S = 0.08


@pytest.fixture
async def watch():
    """A running watch; `watch.task` fails when the service is lost."""
    watch = ProgressWatch("stt", ALLOWED_S)
    task = asyncio.create_task(watch.run())
    yield watch, task
    if not task.done():
        await stop_task(task)


async def test_a_service_that_owes_nothing_is_never_lost(watch):
    progress, task = watch
    await asyncio.sleep(3 * ALLOWED_S)
    progress.expect_progress()
    progress.on_progress(more_due=False)
    await asyncio.sleep(3 * ALLOWED_S)
    assert not task.done()


async def test_a_service_that_shows_no_sign_of_work_is_lost(watch):
    progress, task = watch
    progress.expect_progress()
    with pytest.raises(PeerFailed) as lost:
        await asyncio.wait_for(task, 10)
    assert lost.value.code == "stt.silent"


async def test_signs_of_work_postpone_the_deadline(watch):
    progress, task = watch
    progress.expect_progress()
    for _ in range(12):
        await asyncio.sleep(ALLOWED_S / 4)
        progress.on_progress(more_due=True)
    assert not task.done()
    with pytest.raises(PeerFailed):
        await asyncio.wait_for(task, 10)


async def test_further_work_does_not_postpone_the_deadline(watch):
    progress, task = watch
    for _ in range(40):
        progress.expect_progress()
        await asyncio.sleep(ALLOWED_S / 8)
        if task.done():
            break
    with pytest.raises(PeerFailed):
        task.result()


async def test_a_pause_of_this_process_is_no_silence_of_the_service(watch):
    progress, task = watch
    progress.expect_progress()
    await asyncio.sleep(ALLOWED_S / 8)
    # The loop is blocked; what the service sent meanwhile is read afterwards.
    time.sleep(3 * ALLOWED_S)  # noqa: ASYNC251
    await asyncio.sleep(ALLOWED_S / 16)
    progress.on_progress(more_due=False)
    await asyncio.sleep(3 * ALLOWED_S)
    assert not task.done()


async def test_a_new_stream_owes_nothing(watch):
    progress, task = watch
    progress.expect_progress()
    progress.reset()
    await asyncio.sleep(3 * ALLOWED_S)
    assert not task.done()
