"""The matrix: which faults are tried in which phases of a turn. Data only.

A phase is named by its letter; a capital one belongs to the default subset, all of them to `FAULTS=all`.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

import injections as fault
from message_proxy import Doubling, Dropping, Swapping
from stand_in_llm import FAULTS as LLM_FAULTS
from stand_in_peers import BEHAVIOURS

# How long a service is away: longer than the six seconds after which the anchor apologises for missing words, and after
# which a voice is replaced. The others are missed sooner.
AWAY_S = {"stt": 8.0, "tts": 8.0}
STOPPED_S = 5.0
SLOW_S = 5.0
LLM_FAILS_S = 4.0
CUT_S = 3.0
DELAY_S = 0.25
HOUR_S = 3600.0


class Phase(StrEnum):
    """What goes on when the fault begins; the value's first letter names it in the table."""

    # Nothing; the question follows at once.
    IDLE = "idle"
    # The user asks.
    USER_SPEAKING = "user speaking"
    # The question is over, and no answer is audible yet.
    THINKING = "thinking"
    # The answer is audible.
    ANCHOR_SPEAKING = "anchor speaking"


PHASES = {"i": Phase.IDLE, "u": Phase.USER_SPEAKING, "t": Phase.THINKING, "a": Phase.ANCHOR_SPEAKING}


class Expected(StrEnum):
    """How the turn must end, beside the invariants."""

    # The whole answer is heard.
    HEARD = "heard"
    # There is a reply, or its failure is reported: what the peer gives is all that there is.
    ENDED = "ended"


@dataclass(frozen=True)
class Fault:
    """One row: a fault of `subject`, how long it lasts in seconds, and its phases."""

    subject: str
    kind: str
    inject: fault.Injection
    phases: str
    lasts_s: float = 0.0
    expected: Expected = Expected.HEARD
    # Mangles messages, which the listener then sends through a proxy that reads them.
    by_message: bool = False
    # Needs engines with worker processes, or words that are really recognised.
    real_speech: bool = False

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.subject} {self.kind}"

    def phases_of(self, *, everything: bool) -> list[Phase]:
        """The phases of this row in the default subset, or all of them."""
        return [PHASES[letter.lower()] for letter in self.phases if everything or letter.isupper()]


def _away_s(service: str) -> float:
    return AWAY_S.get(service, STOPPED_S)


def _processes() -> list[Fault]:
    """Faults of the five processes."""
    kinds = (
        ("kill -9", {"vad": "Iuta", "stt": "iUta", "tts": "iuTa", "gpu": "ia", "orchestrator": "iuta"}),
        ("SIGTERM", {"vad": "iuta", "stt": "iuta", "tts": "iutA", "gpu": "i", "orchestrator": "iuta"}),
    )
    numbers = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM}
    rows = [
        Fault(service, kind, fault.killed(service, numbers[kind]), phases)
        for kind, services in kinds
        for service, phases in services.items()
    ]
    stops = {"vad": "iuta", "stt": "iuta", "tts": "iutA", "gpu": "ia", "orchestrator": "iuTa"}
    rows += [Fault(name, "SIGSTOP", fault.stopped(name), phases, _away_s(name)) for name, phases in stops.items()]
    blocks = {"vad": "iUta", "stt": "iuTa", "tts": "iutA", "gpu": "a", "orchestrator": "iuta"}
    rows += [
        Fault(name, "blocked loop", fault.blocked(name, _away_s(name)), phases, _away_s(name))
        for name, phases in blocks.items()
    ]
    slows = {"vad": "iuta", "stt": "iuta", "tts": "iuta", "orchestrator": "iutA"}
    rows += [Fault(name, "slow", fault.slow(name), phases, SLOW_S) for name, phases in slows.items()]
    return [*rows, Fault("all five", "kill -9", fault.all_killed(), "Iuta")]


def _workers() -> list[Fault]:
    """Faults of worker processes, and of turn detection and speech to text with real words."""
    decoders, voice = "pocketsphinx.decoding", "espeak_worker"
    return [
        Fault("stt with real words", "SIGSTOP", fault.stopped("stt"), "iU", _away_s("stt"), real_speech=True),
        Fault("vad with real words", "SIGSTOP", fault.stopped("vad"), "IU", STOPPED_S, real_speech=True),
        Fault("vad with real words", "kill -9", fault.killed("vad"), "iu", real_speech=True),
        Fault("stt decoders", "kill -9", fault.workers_killed(decoders), "uT", real_speech=True),
        Fault("stt decoders", "SIGSTOP", fault.workers_stopped(decoders), "Ut", STOPPED_S, real_speech=True),
        Fault("voice worker", "kill -9", fault.workers_killed(voice), "itA", real_speech=True),
        Fault("voice worker", "SIGSTOP", fault.workers_stopped(voice), "iTa", STOPPED_S, real_speech=True),
    ]


def _connections() -> list[Fault]:
    """Faults of the connections to the services and to the client."""
    cuts = {"vad": "iuta", "stt": "iuTa", "tts": "iuta"}
    frozen = {"vad": "iUta", "stt": "iuta", "tts": "iuta"}
    delayed = {"vad": "iuta", "stt": "iuta", "tts": "Iuta"}
    rows = [Fault(name, "link cut", fault.link_cut(name), phases, CUT_S) for name, phases in cuts.items()]
    rows += [
        Fault(name, "link half-open", fault.link_frozen(name), phases, _away_s(name)) for name, phases in frozen.items()
    ]
    rows += [
        Fault(name, "link delayed", fault.link_delayed(name, DELAY_S), phases, SLOW_S)
        for name, phases in delayed.items()
    ]
    mangled = {"frames lost": (Dropping, "iU"), "frames doubled": (Doubling, "Iu"), "frames swapped": (Swapping, "iU")}
    rows += [
        Fault("client", kind, fault.frames_mangled(mangle), phases, SLOW_S, by_message=True)
        for kind, (mangle, phases) in mangled.items()
    ]
    return [
        *rows,
        Fault("client", "line cut", fault.client_cut(), "iUta", 0.5),
        Fault("client", "line cut for 3 s", fault.client_cut(), "iutA", CUT_S),
        Fault("client", "line half-open", fault.client_half_open(), "iuTa"),
        Fault("client", "line delayed", fault.client_delayed(DELAY_S), "iutA", SLOW_S),
    ]


def _peers() -> list[Fault]:
    """Peers that answer nonsense or nothing."""
    # Words are kept for a service that works, but a voice or a model that gives nonsense has answered.
    ended = {"tts": set(BEHAVIOURS["tts"])}
    # The default subset; the others come with all.
    default = {
        "vad": {"nan"},
        "stt": {"stray final", "never a final", "garbage"},
        "tts": {"silent", "zeros", "endless"},
    }
    rows = [
        Fault(
            service,
            f"answers: {behaviour}",
            fault.replaced(service, behaviour),
            ("I" if behaviour in default[service] else "i") + "t",
            _away_s(service),
            Expected.ENDED if behaviour in ended.get(service, ()) else Expected.HEARD,
        )
        for service, behaviours in BEHAVIOURS.items()
        for behaviour in behaviours
    ]
    llm_default = {"silent", "cut", "garbage"}
    return rows + [
        Fault(
            "llm",
            f"answers: {kind}",
            fault.llm_failing(kind),
            "iT" if kind in llm_default else "it",
            4.0,
            Expected.ENDED,
        )
        for kind in LLM_FAULTS
    ]


def _machine() -> list[Fault]:
    """A full disk, and a clock that is set."""
    return [
        Fault("disk", "full", fault.disk_full(), "iTa", 5.0),
        Fault("clock", "set forward by 1 h", fault.clock_set(HOUR_S), "iuTa", 3.0),
        Fault("clock", "set back by 1 h", fault.clock_set(-HOUR_S), "iutA", 3.0),
    ]


# Rows with real speech come last: one mesh after the other.
PROCESS_FAULTS = (*_processes(), *_machine(), *_workers())
WIRE_FAULTS = (*_connections(), *_peers())
MATRIX: tuple[Fault, ...] = (*PROCESS_FAULTS, *WIRE_FAULTS)
