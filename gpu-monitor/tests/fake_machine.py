"""Controls the GPUs that the fake NVML library (`fake_nvml.c`) reports, through a file."""

from __future__ import annotations

from pathlib import Path

GIB = 1024**3
FAKE_NVML = Path(__file__).with_name("fake_nvml.c")


class Machine:
    """The GPUs of the fake driver; a change takes effect with the library's next call."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.figures = folder / "figures.txt"
        self.environment = {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_FIGURES": str(self.figures)}
        self.set_devices()

    def set_devices(self, *lines: str) -> None:
        """Replace the machine's description; `lines` have the format documented in fake_nvml.c."""
        draft = self.figures.with_suffix(".draft")
        draft.write_text("".join(line + "\n" for line in lines))
        draft.replace(self.figures)


def gpu(index: int = 0, used_gib: float = 12, total_gib: float = 48) -> str:
    """The line of one device that reports every value."""
    return f"device {index} {int(total_gib * GIB)} {int(used_gib * GIB)} 37 61 143500"
