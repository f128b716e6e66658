"""How many callers may speak at a time, and what limits them: cores, streams and slots of the engines, or a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service_kit.engines.capacity import REPLY_S, cpu_calls, slot_calls
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile

# The real-time factor of a voice with slots that was not measured: a slower one leaves gaps in replies.
_TTS_REAL_TIME_FACTOR = 0.5
# How long a language model with slots is busy with one reply, in seconds, where nothing was measured: as long as half
# of the reply takes to say.
_LLM_BUSY_S = REPLY_S / 2


@dataclass(frozen=True, slots=True)
class EngineInUse:
    """What a service reports of its engine on `/ready`. None: nothing limits it."""

    name: str = ""
    model: str = ""
    # Most streams that the service accepts at a time.
    max_streams: int | None = None
    # Requests that the engine itself computes at a time.
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class CallCapacity:
    """The places for callers, and every limit on them by name; the lowest one counts."""

    places: int
    limits: Mapping[str, int]

    @property
    def limited_by(self) -> str:
        """The name of the limit that counts."""
        return min(self.limits, key=lambda name: self.limits[name])

    def describe(self) -> Mapping[str, object]:
        """The capacity for `/info`."""
        return {"places": self.places, "limited_by": self.limited_by, "limits": dict(self.limits)}

    def __str__(self) -> str:
        limits = ", ".join(f"{name} {calls}" for name, calls in sorted(self.limits.items()))
        return f"{self.places} people may speak at a time, limited by {self.limited_by} ({limits})"


def measured_speed(profile: MachineProfile | None, engine: EngineInUse) -> EngineSpeed | None:
    """The measured speed of an engine; of the slowest one where several take turns by language; None without one.

    An engine that is measured for each language does not count: few callers may speak these.
    """
    if profile is None:
        return None
    names = (engine.model, *engine.name.split("+"))
    speeds = [profile.engines[name] for name in names if name in profile.engines]
    return max(speeds, key=lambda speed: speed.real_time_factor, default=None)


def call_capacity(
    *,
    cores: int,
    profile: MachineProfile | None,
    stt: EngineInUse,
    tts: EngineInUse,
    llm_slots: int | None = None,
    max_speakers: int | None = None,
    connected: int = 0,
) -> CallCapacity:
    """The capacity with these engines, while so many sessions are connected.

    `max_speakers`, the user's own number, replaces everything that is computed.
    """
    if max_speakers is not None:
        return CallCapacity(max_speakers, {"setting": max_speakers})
    voice = measured_speed(profile, tts)
    limits = {"cores": cpu_calls(cores, measured_speed(profile, stt), voice, connected)}
    if stt.max_streams is not None:
        limits["stt_streams"] = stt.max_streams
    if tts.max_streams is not None:
        limits["tts_streams"] = tts.max_streams
    if tts.slots is not None:
        factor = voice.real_time_factor if voice else _TTS_REAL_TIME_FACTOR
        limits["tts_slots"] = slot_calls(tts.slots, REPLY_S * factor)
    if llm_slots is not None:
        limits["llm_slots"] = slot_calls(llm_slots, _LLM_BUSY_S)
    return CallCapacity(min(limits.values()), limits)


def engine_in_use(fields: Mapping[str, object]) -> EngineInUse:
    """What a service reports on `/ready`; whatever has another type counts as not reported."""
    return EngineInUse(
        str(fields.get("engine", "")),
        str(fields.get("model", "")),
        _positive(fields.get("max_streams")),
        _positive(fields.get("slots")),
    )


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


class EnginesInUse:
    """The engines that calls need, as the services report them, and the capacity that follows."""

    def __init__(
        self,
        *,
        cores: int,
        profile: MachineProfile | None,
        llm_slots: int | None = None,
        max_speakers: int | None = None,
    ) -> None:
        """The parameters are those of `call_capacity`."""
        self._cores = cores
        self._profile = profile
        self._llm_slots = llm_slots
        self._max_speakers = max_speakers
        self._connected = 0
        self._reported = {"stt-service": EngineInUse(), "tts-service": EngineInUse()}

    def report(self, service: str, fields: Mapping[str, object]) -> CallCapacity:
        """Record what a service reports of its engine; return the capacity with it."""
        if service in self._reported:
            self._reported[service] = engine_in_use(fields)
        return self.capacity

    def count(self, connected: int) -> CallCapacity:
        """Record how many sessions are connected; return the capacity with them."""
        self._connected = connected
        return self.capacity

    @property
    def capacity(self) -> CallCapacity:
        """The capacity with the engines reported so far."""
        return call_capacity(
            cores=self._cores,
            profile=self._profile,
            stt=self._reported["stt-service"],
            tts=self._reported["tts-service"],
            llm_slots=self._llm_slots,
            max_speakers=self._max_speakers,
            connected=self._connected,
        )
