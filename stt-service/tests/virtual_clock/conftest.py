"""What depends on time alone, on a clock that waits for nobody."""

from __future__ import annotations

from service_kit.virtual_clock import VirtualLoop


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}
