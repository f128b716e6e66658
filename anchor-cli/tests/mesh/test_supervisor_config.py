"""supervisord's configuration, parsed by supervisord itself."""

from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path

from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.mesh.supervisor_config import SupervisorFiles, render_config
from anchor_cli.settings import MeshSettings
from supervisor.options import ServerOptions


def rendered(settings: MeshSettings, folder: Path) -> str:
    return render_config(
        mesh_programs(settings),
        SupervisorFiles(folder, "secret"),
        python="/opt/my python/bin/python",
        root=settings.root,
        drain_s=5,
        as_root=False,
    )


def test_supervisord_accepts_the_configuration(settings: MeshSettings, tmp_path: Path) -> None:
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
    withheld = {program.name: program.environment for program in group.process_configs}
    assert "SHARED_SECRET" not in withheld["orchestrator"]
    assert withheld["stt"]["SHARED_SECRET"] == ""
    assert "STT_VOXTRAL_API_KEY" not in withheld["stt"]
    (server,) = options.server_configs
    assert server["file"] == str(folder / "supervisor.sock")


def test_orchestrator_starts_last(settings: MeshSettings) -> None:
    config = RawConfigParser()
    config.read_string(rendered(settings, settings.root))
    order = {name: config.getint(name, "priority") for name in config.sections() if name.startswith("program:")}
    assert max(order, key=order.__getitem__) == "program:orchestrator"


def test_orchestrator_may_take_its_drain_time_and_the_grace_of_turns(settings: MeshSettings, tmp_path: Path) -> None:
    config = RawConfigParser()
    config.read_string(rendered(settings.model_copy(update={"turn_grace_s": 12.5}), tmp_path))
    waits = {name: config.getint(name, "stopwaitsecs") for name in config.sections() if name.startswith("program:")}
    assert waits.pop("program:orchestrator") > 5 + 12.5
    assert set(waits.values()) == {8}
