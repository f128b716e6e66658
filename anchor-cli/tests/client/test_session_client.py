"""The client as a person: it speaks, listens, reports, and knows when nobody is there."""

from __future__ import annotations

import asyncio

import pytest
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from service_kit.errors import InvalidRequest, PeerFailed


async def test_the_microphone_sends_frames_of_20_ms_at_the_pace_of_time_and_never_stops(anchor, question) -> None:
    loop = asyncio.get_running_loop()
    async with anchor() as double, open_session(double.url) as talk:
        began_s = loop.time()
        await talk.play_clip(question)
        async with asyncio.timeout(20):
            # So many are 460 ms; what the clock is ahead is made good.
            while len(double.frames) < max(23, (loop.time() - began_s) / 0.02 - 5):
                await asyncio.sleep(0.01)
        assert len(double.frames) <= (loop.time() - began_s) / 0.02 + 5
    assert {len(frame) for frame in double.frames} == {640}
    spoken = b"".join(double.frames).strip(b"\0")
    assert spoken in question
    assert not any(double.frames[-1])


async def test_playback_is_reported_until_all_of_it_was_heard(anchor, question) -> None:
    def reports(double) -> list[int]:
        return [message["played_ms"] for message in double.told if message["type"] == "playback_progress"]

    async with anchor(reply_ms=1000) as double, open_session(double.url) as talk:
        await run_turn(talk, question)
        async with asyncio.timeout(20):
            while 1000 not in reports(double):
                await asyncio.sleep(0.01)
    assert reports(double) == sorted(reports(double))
    assert reports(double)[-1] == 1000
    assert len(reports(double)) >= 2


async def test_waiting_ends_at_its_deadline_and_tells_what_came_instead(anchor) -> None:
    async with anchor(manner="deaf") as double, open_session(double.url) as talk:
        with pytest.raises(PeerFailed, match=r"no reply_started within 0\.1 s; last events: session_started"):
            await talk.wait_for("reply_started", within_s=0.1)


async def test_one_clip_at_a_time(anchor, question) -> None:
    async with anchor() as double, open_session(double.url) as talk, asyncio.TaskGroup() as tasks:
        tasks.create_task(talk.play_clip(question))
        await asyncio.sleep(0.05)
        with pytest.raises(InvalidRequest, match="another clip is playing"):
            await talk.play_clip(question)


async def test_nobody_there_is_said_plainly(free_port) -> None:
    url = f"ws://127.0.0.1:{free_port()}/ws/audio"
    with pytest.raises(PeerFailed, match="no anchor responds at"):
        async with open_session(url):
            pytest.fail("somebody answered")


async def test_events_are_told_from_the_first_on_to_whoever_asks_late(anchor, question) -> None:
    async with anchor() as double, open_session(double.url, microphone=True) as talk:
        await run_turn(talk, question)
        names = []
        async for event in talk.stream_events():
            names.append(event.name)
            if event.name == "reply_finished":
                break
    assert names[:3] == ["session_started", "speech_started", "partial_transcript"]
