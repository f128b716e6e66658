"""Settings of the command."""

from __future__ import annotations

from anchor_cli.settings import MeshSettings


def test_mesh_on_all_addresses_is_reached_by_loopback() -> None:
    settings = MeshSettings(host="0.0.0.0")
    assert settings.address == "http://127.0.0.1:8080"
    assert settings.audio_url == "ws://127.0.0.1:8080/ws/audio"
