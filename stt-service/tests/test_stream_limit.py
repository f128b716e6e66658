"""How many streams are accepted, by the setting or by what was measured."""

from __future__ import annotations

import pytest
from service_kit.engines.capacity import cpu_calls
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, write_profile
from service_kit.resources import read_resources
from stt_service.settings import SttSettings
from stt_service.stream_limit import max_streams

BASE = EngineSpeed(0.1517, 0.0312)


def settings(tmp_path, **fields) -> SttSettings:
    profile = tmp_path / "machine.json"
    write_profile(profile, MachineProfile(2, 1, {"whisper-base": BASE}))
    return SttSettings(**{"models_dir": tmp_path, "machine_profile": profile, "models": "default", **fields})


def test_streams_follow_the_measured_recogniser(tmp_path):
    # At least 14 a core: two for each of the seven who speak.
    calls = cpu_calls(read_resources().cores, BASE, None)
    assert max_streams(settings(tmp_path)) == 2 * calls >= 14
    assert max_streams(settings(tmp_path, engine="whisper")) == 2 * calls


def test_setting_replaces_what_was_measured(tmp_path):
    assert max_streams(settings(tmp_path, max_streams=3)) == 3


@pytest.mark.parametrize(
    "fields", [{"engine": "voxtral"}, {"models": "minimal"}, {"machine_profile": "missing.json"}], ids=str
)
def test_recogniser_that_was_not_measured_has_four_streams(tmp_path, fields):
    assert max_streams(settings(tmp_path, **fields)) == 4
