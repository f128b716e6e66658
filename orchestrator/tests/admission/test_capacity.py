"""The capacity for callers: the lowest of all limits, or the user's own number."""

from __future__ import annotations

import pytest
from orchestrator.admission.capacity import EngineInUse, call_capacity, engine_in_use
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile

PROFILE = MachineProfile(
    cores=2,
    memory_bytes=1,
    engines={
        "whisper-base": EngineSpeed(0.1517, 0.0312),
        "hibari": EngineSpeed(0.0237, 0.0155),
        "espeak": EngineSpeed(0.0015, 0.0029),
        "kokoro:es": EngineSpeed(0.5, 0.5),
        "higgs": EngineSpeed(0.2, 0.5),
    },
)
WHISPER = EngineInUse("whisper", "whisper-base", max_streams=30)
HIBARI = EngineInUse("espeak+hibari+kokoro", max_streams=64)


@pytest.mark.parametrize(
    ("given", "places", "limited_by"),
    [
        ({}, 8, "cores"),
        ({"cores": 8}, 30, "stt_streams"),
        ({"stt": EngineInUse("whisper", "whisper-base", max_streams=4)}, 4, "stt_streams"),
        ({"tts": EngineInUse("hibari", max_streams=3)}, 3, "tts_streams"),
        # Half a second of work for each second of speech: a slot is busy for 3 s of a turn.
        ({"tts": EngineInUse("higgs", max_streams=64, slots=1)}, 2, "tts_slots"),
        # Not measured: as fast as it must be to leave no gaps.
        ({"cores": 4, "tts": EngineInUse("csm", slots=4)}, 10, "tts_slots"),
        ({"llm_slots": 1}, 2, "llm_slots"),
        # Open pages whose users are silent are listened to.
        ({"connected": 100}, 5, "cores"),
        # Nothing was measured: only turn detection and the sessions themselves cost something.
        ({"profile": None}, 30, "stt_streams"),
        ({"stt": EngineInUse("scripted"), "tts": EngineInUse("scripted")}, 38, "cores"),
        ({"max_speakers": 100, "llm_slots": 1}, 100, "setting"),
    ],
)
def test_lowest_limit_counts(given, places, limited_by):
    capacity = call_capacity(**{"cores": 2, "profile": PROFILE, "stt": WHISPER, "tts": HIBARI, **given})
    assert (capacity.places, capacity.limited_by) == (places, limited_by)
    assert capacity.describe() == {"places": places, "limited_by": limited_by, "limits": capacity.limits}


def test_capacity_is_told_with_all_limits():
    capacity = call_capacity(cores=2, profile=PROFILE, stt=WHISPER, tts=HIBARI)
    assert str(capacity) == "8 people may speak at a time, limited by cores (cores 8, stt_streams 30, tts_streams 64)"


@pytest.mark.parametrize(
    ("fields", "engine"),
    [
        ({"engine": "whisper", "model": "whisper-base", "max_streams": 30}, WHISPER),
        ({"engine": "higgs", "slots": 4, "uptime_s": 3.2}, EngineInUse("higgs", slots=4)),
        ({"max_streams": "many", "slots": 0}, EngineInUse()),
        ({"max_streams": True, "slots": -1}, EngineInUse()),
    ],
)
def test_reports_of_services_are_read_with_care(fields, engine):
    assert engine_in_use(fields) == engine
