"""Memory bandwidth of cards by their data sheets, to project measurements to another card."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataSheet:
    """A card, and its memory's bandwidth in 10^9 bytes a second."""

    title: str
    gb_s: float


# The first entry with all words in the device's name applies, so longer names come first.
DATA_SHEETS = (
    DataSheet("H200", 4800),
    DataSheet("H100 NVL", 3938),
    DataSheet("H100 PCIe", 2039),
    DataSheet("H100", 3352),
    DataSheet("A100 80GB PCIe", 1935),
    DataSheet("A100 80GB", 2039),
    DataSheet("A100", 1555),
    DataSheet("RTX PRO 6000", 1792),
    DataSheet("RTX 6000 Ada", 960),
    DataSheet("RTX A6000", 768),
    DataSheet("L40S", 864),
    DataSheet("L4", 300),
    DataSheet("RTX 5090", 1792),
    DataSheet("RTX 4090", 1008),
    DataSheet("T4", 320),
)
# The card of the GPU profile.
TARGET = next(sheet for sheet in DATA_SHEETS if sheet.title == "RTX 6000 Ada")


def data_sheet(device_name: str) -> DataSheet | None:
    """The data sheet of a device by its driver name; None when it is not listed."""
    words = set(device_name.replace("-", " ").split())
    return next((sheet for sheet in DATA_SHEETS if words >= set(sheet.title.split())), None)
