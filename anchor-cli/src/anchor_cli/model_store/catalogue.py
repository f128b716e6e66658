"""Every model that can be pulled by name: its size, licence and access, who pins it, and what of it is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text
from service_kit.anchor_command import anchor_command
from service_kit.engines.hub import HubModel, TrustedFile, read_hub_entries, read_trusted, with_trust
from service_kit.engines.model_lock import read_lock, read_short_names

from anchor_cli.model_store.hub.piper_voices import PIPER, pulled_voices

PinnedBy = Literal["project", "first pull", "here"]
Presence = Literal["yes", "partly", "no"]
_PINNED: dict[PinnedBy, str] = {"project": "models.lock", "first pull": "at first pull", "here": "here"}


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One model; `size_bytes` is 0 while it is unknown, and an estimate unless `is_exact`.

    `pinned` says who fixed the content: the project in `models.lock`; the hub, at the first pull to come; or the hub,
    at an earlier pull into this folder. `present` compares sizes, not hashes.
    """

    name: str
    size_bytes: int
    is_exact: bool
    licence: str
    gated: bool
    pinned: PinnedBy
    present: Presence
    purpose: str

    @property
    def size(self) -> str:
        """The size for people: `145 MB`, `~7.2 GB`."""
        if not self.size_bytes:
            return "?"
        large = self.size_bytes >= 10**9
        number = f"{self.size_bytes / 1e9:.1f} GB" if large else f"{self.size_bytes / 1e6:.0f} MB"
        return number if self.is_exact else f"~{number}"


def read_catalogue(lock: Path, folder: Path) -> list[CatalogueRow]:
    """All models of a lock, in its order. Raises `EngineFailed` for a malformed lock or trust list."""
    trusted = read_trusted(folder)
    rows = [
        CatalogueRow(
            model.name,
            sum(file.size_bytes for file in model.files),
            True,
            model.licence,
            False,
            "project",
            _presence((model.path_of(file, folder), file.size_bytes) for file in model.files),
            model.purpose,
        )
        for model in read_lock(lock).values()
    ]
    return rows + [_hub_row(entry, trusted, folder) for entry in read_hub_entries(lock).values()]


def print_catalogue(console: Console, lock: Path, folder: Path, *, has_token: bool) -> None:
    """Print all models, two lines each, with what the columns mean and how to fetch one."""
    rows = read_catalogue(lock, folder)
    width = max(len(row.name) for row in rows)

    def show(line: str, style: str = "") -> None:
        console.print(Text(line, style=style), soft_wrap=True)

    show(f"{'name':{width}}  {'size':>8}  {'gated':5}  {'pinned':13}  here", "dim")
    for row in rows:
        gated = "gated" if row.gated else ""
        show(f"{row.name:{width}}  {row.size:>8}  {gated:5}  {_PINNED[row.pinned]:13}  {row.present}")
        show(f"    {row.licence}; {row.purpose}", "dim")
    show("")
    for short, names in read_short_names(lock).items():
        show(f"{short} stands for {' and '.join(names)}")
    if voices := pulled_voices(read_trusted(folder)):
        show(f"voices of Piper here: {', '.join(voices)}")
    token = "your token is used" if has_token else "an account must accept the terms, and its token is needed:"
    show(f"gated: {token}" + ("" if has_token else " set ANCHOR_MODELS_HUB_TOKEN"))
    show(
        "pinned: at first pull, the commit and hashes that the hub states are written to trusted.lock; here: they were"
    )
    show(f"`{anchor_command('pull NAME')}` fetches, and any voice of Piper by its name (en_US-lessac-medium)")


def _hub_row(entry: HubModel, trusted: Mapping[str, TrustedFile], folder: Path) -> CatalogueRow:
    model = with_trust(entry, trusted)
    known = bool(model.files) and all(file.size_bytes for file in model.files)
    pinned: PinnedBy = "project" if not entry.unknown else "first pull" if model.unknown else "here"
    size = sum(file.size_bytes for file in model.files) if known else entry.about_bytes
    return CatalogueRow(
        model.name,
        size,
        known and model.name != PIPER,
        model.licence,
        model.gated,
        pinned,
        _presence((model.path_of(file, folder), file.size_bytes) for file in model.files),
        model.purpose,
    )


def _presence(files: Iterable[tuple[Path, int]]) -> Presence:
    found = [path.is_file() and (not size or path.stat().st_size == size) for path, size in files]
    return "yes" if found and all(found) else "partly" if any(found) else "no"
