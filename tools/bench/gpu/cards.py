"""Memory bandwidth of cards by their data sheets, for what a measurement cannot say: how fast another card would be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataSheet:
    """A card, and its memory's bandwidth in 10^9 bytes a second."""

    title: str
    gb_s: float


# The first whose words all stand in the device's name, so the longer names come first.
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
# The card that the GPU profile is meant for.
TARGET = next(sheet for sheet in DATA_SHEETS if sheet.title == "RTX 6000 Ada")


def data_sheet(device_name: str) -> DataSheet | None:
    """The data sheet of a device as its driver names it; None for one that is not listed."""
    words = set(device_name.replace("-", " ").split())
    return next((sheet for sheet in DATA_SHEETS if words >= set(sheet.title.split())), None)
