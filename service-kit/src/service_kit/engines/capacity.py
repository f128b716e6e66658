"""How many people this machine can talk with at a time, computed from what its engines were measured to cost.

The unit is a call: a person who asks, listens and asks again. One turn of it takes `TURN_S`, with a question of
`QUESTION_S` and a reply of `REPLY_S`.
"""

from __future__ import annotations

import math

from service_kit.engines.machine_profile import EngineSpeed

TURN_S = 10.0
QUESTION_S = 3.0
REPLY_S = 6.0
# How often the question is transcribed: at its end, at a pause within it, and once for all of its partial transcripts,
# which are the first to be left out when there is no time.
_TRANSCRIPTIONS = 3
# Processor seconds of two predictions of the end of a turn, and of a session itself for each second: turn detection,
# audio both ways, turn-taking (docs/latency.md: 1.8 s a minute with twenty sessions).
_PREDICTIONS_S = 0.09
_SESSION_CORES = 0.03
# The same of a session whose user is silent: its microphone is still listened to (measured with thirty of them).
_IDLE_CORES = 0.0105
# The share of the cores, or of the slots of an engine, that may be busy. Beyond it, work waits for others for
# longer than it takes.
_UTILISATION = 0.75
# The share of the cores for work that callers wait for. They ask at the same moment, and the last of them waits for the
# work of all. Measured in docs/latency.md, "Overload".
_AWAITED_UTILISATION = 0.25


def cpu_calls(cores: int, recogniser: EngineSpeed | None, voice: EngineSpeed | None, connected: int = 0) -> int:
    """How many calls the cores answer in time while so many sessions are connected, at least one.

    `recogniser` and `voice` are as measured here; None for an engine that computes elsewhere, or at no cost.
    """
    cost_s = _PREDICTIONS_S + TURN_S * _SESSION_CORES
    awaited_s = _PREDICTIONS_S
    if recogniser is not None:
        cost_s += _TRANSCRIPTIONS * recogniser.first_result_s
        awaited_s += _TRANSCRIPTIONS * recogniser.first_result_s
    if voice is not None:
        cost_s += REPLY_S * voice.real_time_factor
        awaited_s += voice.first_result_s
    calls = _UTILISATION * cores * TURN_S / cost_s
    if connected > calls:
        free_cores = _UTILISATION * cores - connected * _IDLE_CORES
        calls = free_cores * TURN_S / (cost_s - TURN_S * _IDLE_CORES)
    return max(1, math.floor(min(calls, _AWAITED_UTILISATION * cores * TURN_S / awaited_s)))


def slot_calls(slots: int, busy_s: float) -> int:
    """How many calls share the slots of an engine that each turn keeps busy for `busy_s`; at least one a slot."""
    return max(slots, math.floor(_UTILISATION * slots * TURN_S / max(busy_s, 0.01)))
