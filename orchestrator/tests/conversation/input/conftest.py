"""Tests of deadlines run on a virtual clock."""

from __future__ import annotations

import asyncio

from service_kit.testing.virtual_clock import VirtualLoop


def pytest_asyncio_loop_factories(config, item):
    on_virtual_clock = item.path.name in ("test_speech_detector.py", "test_transcription_watch.py")
    return {"virtual": VirtualLoop} if on_virtual_clock else {"real": asyncio.new_event_loop}
