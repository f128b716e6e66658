"""What the supervisor is told, read back as it reads it."""

from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path

import pytest
from anchor_cli.mesh.programs import mesh_programs, program_environment
from anchor_cli.mesh.supervisor_config import SupervisorFiles, render_config
from anchor_cli.settings import MeshSettings
from supervisor.options import ServerOptions


@pytest.fixture
def settings(tmp_path: Path) -> MeshSettings:
    return MeshSettings(root=tmp_path, stt_grpc_port=7001, orchestrator_http_port=7002)


def rendered(settings: MeshSettings, folder: Path) -> str:
    return render_config(
        mesh_programs(settings),
        SupervisorFiles(folder, "secret"),
        python="/opt/my python/bin/python",
        root=settings.root,
        drain_s=5,
        as_root=False,
    )


def test_the_supervisor_itself_accepts_the_configuration(settings: MeshSettings, tmp_path: Path) -> None:
    folder = tmp_path / "100% odd"
    folder.mkdir()
    path = folder / "supervisord.conf"
    path.write_text(rendered(settings, folder))
    options = ServerOptions()
    options.realize(args=["-c", str(path)])
    (group,) = options.process_group_configs
    assert [program.name for program in group.process_configs] == ["stt", "tts", "vad", "gpu", "orchestrator"]
    first = group.process_configs[0]
    assert first.command == "'/opt/my python/bin/python' -m stt_service"
    assert first.autorestart is not False
    assert not first.stopasgroup
    assert first.killasgroup
    assert first.startretries >= 20
    (server,) = options.server_configs
    assert server["file"] == str(folder / "supervisor.sock")


def test_the_one_that_leans_on_all_others_starts_last(settings: MeshSettings) -> None:
    config = RawConfigParser()
    config.read_string(rendered(settings, settings.root))
    order = {name: config.getint(name, "priority") for name in config.sections() if name.startswith("program:")}
    assert max(order, key=order.__getitem__) == "program:orchestrator"


def test_programs_learn_their_ports_and_where_their_peers_are(settings: MeshSettings) -> None:
    found = program_environment(settings, {"PATH": "/bin", "STT_GRPC_PORT": "1"})
    assert found["PATH"] == "/bin"
    assert found["STT_GRPC_PORT"] == "7001"
    assert found["STT_TARGET"] == "127.0.0.1:7001"
    assert found["STT_HEALTH_URL"] == "http://127.0.0.1:8001"
    assert found["ORCHESTRATOR_HTTP_PORT"] == "7002"
    assert "ORCHESTRATOR_TARGET" not in found
    assert "ANCHOR_SCRIPT" not in found


def test_a_peer_that_lives_elsewhere_keeps_its_address(settings: MeshSettings) -> None:
    assert program_environment(settings, {"TTS_TARGET": "gpu-box:9083"})["TTS_TARGET"] == "gpu-box:9083"


def test_a_script_reaches_the_programs_by_its_full_path(tmp_path: Path) -> None:
    settings = MeshSettings(root=tmp_path, script=Path("script.toml"))
    assert program_environment(settings, {})["ANCHOR_SCRIPT"] == str(Path.cwd() / "script.toml")


def test_a_mesh_open_to_all_is_reached_by_loopback() -> None:
    settings = MeshSettings(host="0.0.0.0")
    assert settings.address == "http://127.0.0.1:8080"
    assert settings.audio_url == "ws://127.0.0.1:8080/ws/audio"
