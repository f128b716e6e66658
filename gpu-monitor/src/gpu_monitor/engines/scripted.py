"""Plays readings from a script, for machines and tests without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt, TypeAdapter
from service_kit.engines.info import EngineInfo

from gpu_monitor.engine import Device, DriverUnavailable
from gpu_monitor.settings import GpuSettings

# The devices, or the reason why there are none.
Reading = tuple[Device, ...] | str


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """One reading, repeated `times` times with optional growth."""

    reading: Reading
    times: PositiveInt = 1
    # Added per repetition on the first device, up to its total memory.
    growth_bytes: int = 0
    # The service whose process on that device grows; empty for unattributed growth.
    grower: str = ""
    # Repetitions after which the growth drops back to 0, as an allocator's sawtooth; 0 for never.
    tooth: NonNegativeInt = 0

    def readings(self) -> Iterator[Reading]:
        """Yield the reading of each repetition."""
        for time in range(self.times):
            grown_bytes = self.growth_bytes * (time % self.tooth if self.tooth else time)
            yield self.reading if isinstance(self.reading, str) else self._grown(self.reading, grown_bytes)

    def _grown(self, devices: tuple[Device, ...], grown_bytes: int) -> tuple[Device, ...]:
        if not devices:
            return devices
        first, *others = devices
        grown_bytes = min(grown_bytes, first.memory_total_bytes - first.memory_used_bytes)
        processes = list(first.processes)
        owned = [position for position, process in enumerate(processes) if self.grower == process.service != ""]
        for position in owned[:1]:
            held_bytes = processes[position].memory_used_bytes or 0
            processes[position] = replace(processes[position], memory_used_bytes=held_bytes + grown_bytes)
        used_bytes = first.memory_used_bytes + grown_bytes
        return (replace(first, memory_used_bytes=used_bytes, processes=tuple(processes)), *others)


_SCRIPT: TypeAdapter[tuple[ScriptStep | Reading, ...]] = TypeAdapter(tuple[ScriptStep | Reading, ...])

_DEFAULT_SCRIPT = (ScriptStep((Device(0, "GPU-scripted-0", "Scripted GPU", 48 * 1024**3, 20 * 1024**3),)),)


def read_script(path: Path) -> tuple[ScriptStep, ...]:
    """Read a JSON script: a list whose items are steps, lists of devices, or reasons for having none.

    Raises `OSError` when the file is missing and `pydantic.ValidationError` when its content is invalid.
    """
    items = _SCRIPT.validate_json(path.read_bytes())
    return tuple(item if isinstance(item, ScriptStep) else ScriptStep(item) for item in items)


class ScriptedReader:
    """Returns the script's readings in order and repeats the last one."""

    def __init__(self, settings: GpuSettings) -> None:
        stretches = read_script(settings.script_path) if settings.script_path else _DEFAULT_SCRIPT
        if not stretches:
            raise ValueError(f"{settings.script_path} contains no reading")
        self._readings = (reading for stretch in stretches for reading in stretch.readings())
        self._reading: Reading = "no reading yet"

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("scripted", model="", version="1")

    def read(self) -> tuple[Device, ...]:
        self._reading = next(self._readings, self._reading)
        if isinstance(self._reading, str):
            raise DriverUnavailable(self._reading)
        return self._reading

    def close(self) -> None:
        """Do nothing: the reader holds no resources."""
