"""The environment of the programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.mesh.programs import mesh_programs, ports_by_host, program_environment
from anchor_cli.settings import MeshSettings


def test_environment_has_ports_and_service_addresses(settings: MeshSettings) -> None:
    found = program_environment(settings, {"PATH": "/bin", "STT_GRPC_PORT": "1"})
    assert found["PATH"] == "/bin"
    assert found["STT_GRPC_PORT"] == "7001"
    assert found["STT_TARGET"] == "127.0.0.1:7001"
    assert found["STT_HEALTH_URL"] == "http://127.0.0.1:8001"
    assert found["ORCHESTRATOR_HTTP_PORT"] == "7002"
    assert "ORCHESTRATOR_TARGET" not in found
    assert "ANCHOR_SCRIPT" not in found


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_only_the_orchestrator_listens_beyond_loopback(host: str) -> None:
    settings = MeshSettings(host=host)
    assert {program.name: program.host for program in mesh_programs(settings)} == {
        **dict.fromkeys(("stt", "tts", "vad", "gpu"), "127.0.0.1"),
        "orchestrator": host,
    }
    environment = program_environment(settings, {"ANCHOR_INTERNAL_HOST": host})
    assert (environment["ANCHOR_HOST"], environment["ANCHOR_INTERNAL_HOST"]) == (host, "127.0.0.1")
    assert environment["TTS_TARGET"] == "127.0.0.1:9083"


def test_services_behind_it_may_have_an_address_of_their_own() -> None:
    settings = MeshSettings(internal_host="::1", tts_grpc_port=7003)
    environment = program_environment(settings, {})
    assert environment["TTS_TARGET"] == "[::1]:7003"
    assert environment["TTS_HEALTH_URL"] == "http://[::1]:8003"
    assert list(ports_by_host(mesh_programs(settings))) == ["::1", "127.0.0.1"]


def test_inherited_service_address_takes_precedence(settings: MeshSettings) -> None:
    assert program_environment(settings, {"TTS_TARGET": "gpu-box:9083"})["TTS_TARGET"] == "gpu-box:9083"


def test_script_path_is_absolute(tmp_path: Path) -> None:
    settings = MeshSettings(root=tmp_path, script=Path("script.toml"))
    assert program_environment(settings, {})["ANCHOR_SCRIPT"] == str(Path.cwd() / "script.toml")


def test_local_model_is_a_program_when_it_is_chosen() -> None:
    names = [program.name for program in mesh_programs(MeshSettings())]
    assert "llm" not in names
    for chosen in ({"llm": "local"}, {"llm": "openai", "llm_fallback": "local"}):
        own = MeshSettings(host="0.0.0.0", llm_http_port=7006, **chosen)
        (llm,) = [program for program in mesh_programs(own) if program.name == "llm"]
        assert (llm.optional, llm.host, llm.ports) == (True, "127.0.0.1", {7006: "LLM_HTTP_PORT"})
        environment = program_environment(own, {})
        assert environment["LLM_LOCAL_URL"] == "http://127.0.0.1:7006"
        assert "LLM_GRPC_PORT" not in environment
