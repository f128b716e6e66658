"""Conversations on a virtual clock, with peers in memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The stage stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))

from service_kit.virtual_clock import VirtualLoop
from stage import Stage


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}


@pytest.fixture
async def stage():
    """An open session with scripted peers; configure it, then `async with stage:`."""
    return Stage()
