"""Reads figures from a script, for machines and tests without a GPU."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter
from service_kit.engine import EngineInfo

from gpu_monitor.engine import Device, DriverUnavailable
from gpu_monitor.settings import GpuSettings

# A reading: the devices, or why there are none.
Reading = tuple[Device, ...] | str
_SCRIPT: TypeAdapter[tuple[Reading, ...]] = TypeAdapter(tuple[Reading, ...])

_CALM: tuple[Reading, ...] = (
    (Device(0, "GPU-scripted-0", "Scripted GPU", memory_total_bytes=48 * 1024**3, memory_used_bytes=20 * 1024**3),),
)


def read_script(path: Path) -> tuple[Reading, ...]:
    """The readings of a JSON file: a list whose items are lists of devices, or strings that say why there are none.

    Raises `OSError` when there is no such file and `pydantic.ValidationError` when it holds something else.
    """
    return _SCRIPT.validate_json(path.read_bytes())


class ScriptedReader:
    """Returns one reading of its script after the other; the last stays."""

    def __init__(self, settings: GpuSettings) -> None:
        self._readings = read_script(settings.script_path) if settings.script_path else _CALM
        if not self._readings:
            raise ValueError(f"{settings.script_path} holds no reading")
        self._next = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("scripted", model="none", version="1")

    def read(self) -> tuple[Device, ...]:
        reading = self._readings[self._next]
        self._next = min(self._next + 1, len(self._readings) - 1)
        if isinstance(reading, str):
            raise DriverUnavailable(reading)
        return reading

    def close(self) -> None:
        """Nothing is held."""
