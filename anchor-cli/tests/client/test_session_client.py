"""The session client: microphone, playback reports, waiting for events, failures."""

from __future__ import annotations

import asyncio

import pytest
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from service_kit.errors import InvalidRequest, PeerFailed


async def test_microphone_sends_20_ms_frames_in_real_time(anchor, question) -> None:
    loop = asyncio.get_running_loop()
    async with anchor() as double, open_session(double.url) as session:
        began_s = loop.time()
        await session.play_clip(question)
        async with asyncio.timeout(20):
            # 23 frames are 460 ms; delayed frames are sent at once.
            while len(double.frames) < max(23, (loop.time() - began_s) / 0.02 - 5):
                await asyncio.sleep(0.01)
        assert len(double.frames) <= (loop.time() - began_s) / 0.02 + 5
    assert {len(frame) for frame in double.frames} == {640}
    spoken = b"".join(double.frames).strip(b"\0")
    assert spoken in question
    assert not any(double.frames[-1])


async def test_playback_is_reported_to_the_end(anchor, question) -> None:
    def reports(double) -> list[int]:
        return [message["played_ms"] for message in double.messages if message["type"] == "playback_progress"]

    async with anchor(reply_ms=1000) as double, open_session(double.url) as session:
        await run_turn(session, question)
        async with asyncio.timeout(20):
            while 1000 not in reports(double):
                await asyncio.sleep(0.01)
    assert reports(double) == sorted(reports(double))
    assert reports(double)[-1] == 1000
    assert len(reports(double)) >= 2


async def test_timeout_error_lists_the_last_events(anchor) -> None:
    async with anchor(behaviour="deaf") as double, open_session(double.url) as session:
        with pytest.raises(PeerFailed, match=r"no reply_started within 0\.1 s; last events: session_started"):
            await session.wait_for("reply_started", within_s=0.1)


async def test_second_clip_is_rejected_while_one_plays(anchor, question) -> None:
    async with anchor() as double, open_session(double.url) as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(session.play_clip(question))
        await asyncio.sleep(0.05)
        with pytest.raises(InvalidRequest, match="another clip is playing"):
            await session.play_clip(question)


async def test_unreachable_server_raises_peer_failed(free_port) -> None:
    url = f"ws://127.0.0.1:{free_port()}/ws/audio"
    with pytest.raises(PeerFailed, match="no anchor responds at"):
        async with open_session(url):
            pytest.fail("the session opened")


async def test_stream_events_starts_at_the_first_event(anchor, question) -> None:
    async with anchor() as double, open_session(double.url, microphone=True) as session:
        await run_turn(session, question)
        names = []
        async for event in session.stream_events():
            names.append(event.name)
            if event.name == "reply_finished":
                break
    assert names[:3] == ["session_started", "speech_started", "partial_transcript"]


async def test_a_reconnect_says_what_the_speaker_has(anchor, question) -> None:
    async with anchor() as double:
        async with open_session(double.url) as session:
            await run_turn(session, question)
        resumed = {"ticket": "t", "session_id": "s", "played": (1, 20), "received": (1, 40)}
        async with open_session(double.url, **resumed, speaker=session.speaker) as again:
            assert again.speaker is session.speaker
            await asyncio.sleep(0.05)
    start = [message for message in double.messages if message["type"] == "session_start"][-1]
    assert (start["ticket"], start["session_id"]) == ("t", "s")
    assert start["played"] == {"turn_id": 1, "played_ms": 20}
    assert start["received"] == {"turn_id": 1, "offset_ms": 40}
