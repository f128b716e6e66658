"""Settings of the command."""

from __future__ import annotations

from anchor_cli.mesh.programs import program_environment
from anchor_cli.settings import MeshSettings


def test_mesh_on_all_addresses_is_reached_by_loopback() -> None:
    settings = MeshSettings(host="0.0.0.0")
    assert settings.address == "http://127.0.0.1:8080"
    assert settings.audio_url == "ws://127.0.0.1:8080/ws/audio"


def test_mesh_on_ipv6_addresses_is_reached_by_them() -> None:
    assert MeshSettings(host="::").address == "http://[::1]:8080"
    settings = MeshSettings(host="::1", internal_host="::1")
    assert settings.audio_url == "ws://[::1]:8080/ws/audio"
    environment = program_environment(settings, {})
    assert environment["STT_TARGET"] == "[::1]:9081"
    assert environment["STT_HEALTH_URL"] == "http://[::1]:8001"
