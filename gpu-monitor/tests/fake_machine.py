"""The GPUs of a fake NVML driver library (`fake_nvml.c`), described by a file."""

from __future__ import annotations

from pathlib import Path

GIB = 1024**3
FAKE_NVML = Path(__file__).with_name("fake_nvml.c")


class Machine:
    """The GPUs of the fake driver; every change holds from the next call of the library on."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.figures = folder / "figures.txt"
        self.environment = {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_FIGURES": str(self.figures)}
        self.has()

    def has(self, *lines: str) -> None:
        """Let the machine be what `lines` of fake_nvml.c's format say."""
        draft = self.figures.with_suffix(".draft")
        draft.write_text("".join(line + "\n" for line in lines))
        draft.replace(self.figures)


def gpu(index: int = 0, used_gib: float = 12, total_gib: float = 48) -> str:
    """A line for one device that says everything."""
    return f"device {index} {int(total_gib * GIB)} {int(used_gib * GIB)} 37 61 143500"
