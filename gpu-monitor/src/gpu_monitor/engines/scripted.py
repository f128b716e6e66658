"""Reads figures from a script, for machines and tests without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt, TypeAdapter
from service_kit.engines.info import EngineInfo

from gpu_monitor.engine import Device, DriverUnavailable
from gpu_monitor.settings import GpuSettings

# A reading: the devices, or why there are none.
Reading = tuple[Device, ...] | str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A reading that is repeated, and what grows from one time to the next."""

    reading: Reading
    times: PositiveInt = 1
    # Each time, on the first device; never beyond its memory.
    growth_bytes: int = 0
    # The service whose process on that device holds the growth; empty for nobody known.
    grower: str = ""
    # Times after which the growth is given back: the teeth of a saw. 0 for never.
    tooth: NonNegativeInt = 0

    def readings(self) -> Iterator[Reading]:
        """Each time's reading."""
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


_SCRIPT: TypeAdapter[tuple[Stretch | Reading, ...]] = TypeAdapter(tuple[Stretch | Reading, ...])

_CALM = (Stretch((Device(0, "GPU-scripted-0", "Scripted GPU", 48 * 1024**3, 20 * 1024**3),)),)


def read_script(path: Path) -> tuple[Stretch, ...]:
    """The stretches of a JSON file: a list of objects, lists of devices, and strings that say why there are none.

    Raises `OSError` when there is no such file and `pydantic.ValidationError` when it holds something else.
    """
    items = _SCRIPT.validate_json(path.read_bytes())
    return tuple(item if isinstance(item, Stretch) else Stretch(item) for item in items)


class ScriptedReader:
    """Returns one reading of its script after the other; the last stays."""

    def __init__(self, settings: GpuSettings) -> None:
        stretches = read_script(settings.script_path) if settings.script_path else _CALM
        if not stretches:
            raise ValueError(f"{settings.script_path} holds no reading")
        self._readings = (reading for stretch in stretches for reading in stretch.readings())
        self._reading: Reading = "nothing was read yet"

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("scripted", model="", version="1")

    def read(self) -> tuple[Device, ...]:
        self._reading = next(self._readings, self._reading)
        if isinstance(self._reading, str):
            raise DriverUnavailable(self._reading)
        return self._reading

    def close(self) -> None:
        """Nothing is held."""
