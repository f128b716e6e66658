"""The choice between a multiplexed channel and a plain one."""

from __future__ import annotations

import pytest
from grpc import aio
from service_kit.rpc.channel import open_service_channel
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.settings import ServiceSettings


def settings() -> ServiceSettings:
    return ServiceSettings(grpc_port=0, http_port=0)


@pytest.mark.parametrize(("multiplex", "kind"), [(True, MultiplexedChannel), (False, aio.Channel)])
async def test_the_setting_chooses_the_kind_of_channel(multiplex: bool, kind: type):
    async with open_service_channel("127.0.0.1:1", multiplex=multiplex) as channel:
        assert isinstance(channel, kind)


def test_channels_are_multiplexed_unless_the_environment_says_no(monkeypatch: pytest.MonkeyPatch):
    assert settings().multiplex
    monkeypatch.setenv("ANCHOR_MULTIPLEX", "false")
    assert not settings().multiplex
