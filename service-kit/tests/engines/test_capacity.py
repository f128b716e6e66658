"""How many calls a machine holds, by what its engines cost."""

from __future__ import annotations

import pytest
from service_kit.engines.capacity import cpu_calls, slot_calls
from service_kit.engines.machine_profile import EngineSpeed

# As measured on two cores of a server processor: whisper-base and hibari.
WHISPER = EngineSpeed(0.1517, 0.0312)
HIBARI = EngineSpeed(0.0237, 0.0155)
KOKORO = EngineSpeed(0.9, 0.55)


@pytest.mark.parametrize(
    ("cores", "recogniser", "voice", "calls"),
    [
        (2, WHISPER, HIBARI, 8),
        (1, WHISPER, HIBARI, 4),
        (16, WHISPER, HIBARI, 70),
        # A dear voice costs more than everything else.
        (2, WHISPER, KOKORO, 3),
        # Engines that compute elsewhere, or play a script.
        (2, None, None, 38),
        # A machine on which a question takes 2 s to transcribe serves one person all the same.
        (1, EngineSpeed(4.0, 0.8), HIBARI, 1),
    ],
)
def test_cores_answer_so_many_calls(cores, recogniser, voice, calls):
    assert cpu_calls(cores, recogniser, voice) == calls


@pytest.mark.parametrize(("connected", "calls"), [(0, 8), (60, 8), (75, 8), (100, 5), (120, 2), (500, 1)])
def test_silent_sessions_take_cores_too(connected, calls):
    assert cpu_calls(2, WHISPER, HIBARI, connected) == calls


@pytest.mark.parametrize(
    ("slots", "busy_s", "calls"),
    [(2, 3.0, 5), (4, 6.0, 5), (4, 0.5, 60), (1, 12.0, 1), (1, 0.0, 750)],
)
def test_slots_are_shared_by_so_many_calls(slots, busy_s, calls):
    assert slot_calls(slots, busy_s) == calls
