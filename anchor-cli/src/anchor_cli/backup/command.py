"""`anchor backup FILE` and `anchor restore FILE`, of the installation in the project folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from service_kit.errors import InvalidRequest, PeerFailed

from anchor_cli.backup.archive import STORE, read_archive, write_archive
from anchor_cli.console import load_settings_or_exit, reported_failures
from anchor_cli.mesh.mesh import mesh_lock
from anchor_cli.settings import MeshSettings

# The exit status of `orchestrator.dump` when nothing is stored.
_NOTHING_STORED = 3


def backup_command(
    file: Annotated[Path, typer.Argument(help="The archive to write, such as anchor.tar.gz; it must not exist.")],
) -> None:
    """Write stored conversations, cloned voices, personas, knowledge and its index to FILE; the mesh may run."""
    console = Console()
    settings = load_settings_or_exit(console)
    with reported_failures(console):
        try:
            saved = back_up(settings, file.absolute())
        except OSError as error:
            raise InvalidRequest("backup.failed", f"the backup was not written: {error}") from error
        console.print(f"{file}: {', '.join(saved)}", soft_wrap=True)


def restore_command(
    file: Annotated[Path, typer.Argument(help="The archive that `anchor backup` wrote.")],
) -> None:
    """Replace conversations, voices, personas, knowledge and index by those in FILE; the mesh must be stopped."""
    console = Console()
    settings = load_settings_or_exit(console)
    with reported_failures(console):
        try:
            lines = restore(settings, file.absolute())
        except OSError as error:
            raise InvalidRequest("backup.failed", f"the backup was not restored, or not whole: {error}") from error
        for line in lines:
            console.print(line, soft_wrap=True)


def folders(settings: MeshSettings) -> dict[str, Path | None]:
    """The files and folders of a backup beside the conversations, by their name in it; None where none is set."""
    paths = {
        "personas": settings.personas_dir,
        "knowledge": settings.knowledge_dir,
        "knowledge-vectors.bin": settings.knowledge_vectors,
        "voices-higgs": settings.higgs_voices,
        "voices-csm": settings.csm_voices,
        "voices-pocket": settings.pocket_voices,
    }
    return {name: None if path is None else (settings.root / path).resolve() for name, path in paths.items()}


def back_up(settings: MeshSettings, target: Path) -> list[str]:
    """Write the backup; returns the names of its parts. Raises `AnchorError`, `OSError`."""
    parts = {name: path for name, path in folders(settings).items() if path is not None and path.exists()}
    with tempfile.TemporaryDirectory(prefix="anchor-backup-", dir=target.parent) as scratch:
        dump = Path(scratch) / STORE
        if _transfer_store(settings, "export", dump):
            parts[STORE] = dump
        write_archive(target, parts)
    return sorted(parts)


def restore(settings: MeshSettings, source: Path) -> list[str]:
    """Put a backup in place; returns lines for the user. What was there stays beside it, under another name.

    Raises `AtCapacity` while the mesh runs, `InvalidRequest` for a file that is no backup or has parts without a place,
    `PeerFailed` when the database refuses: then nothing was changed. Raises `OSError`.
    """
    places = folders(settings)
    with (
        mesh_lock(settings.run_folder),
        tempfile.TemporaryDirectory(prefix="restore-", dir=settings.run_folder) as name,
    ):
        scratch = Path(name)
        parts = read_archive(source, scratch)
        for part in parts:
            if part != STORE and places.get(part) is None:
                raise InvalidRequest("backup.no_place", f"the backup has {part}, and no setting names its folder here")
        if STORE in parts and not _transfer_store(settings, "import", scratch / STORE):
            raise InvalidRequest("backup.no_place", "the backup has conversations, and ORCHESTRATOR_STORE is off here")
        lines = ["conversations restored"] if STORE in parts else []
        for part in parts:
            place = places.get(part)
            if place is not None:
                lines.append(_put_in_place(scratch / part, place))
        return lines


def _put_in_place(restored: Path, place: Path) -> str:
    """Move what was restored to `place`, and what is there aside; returns a line for the user."""
    place.parent.mkdir(parents=True, exist_ok=True)
    # On the place's own file system, so that the change of names is all that is left to do.
    arriving = place.with_name(f".{place.name}.restored-{os.getpid()}")
    (shutil.copytree if restored.is_dir() else shutil.copy2)(restored, arriving)
    line = f"{place} restored"
    if place.exists():
        aside = place.with_name(f"{place.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
        place.rename(aside)
        line += f"; what was there is {aside.name}"
    arriving.rename(place)
    return line


def _transfer_store(settings: MeshSettings, action: str, path: Path) -> bool:
    """Export or import the stored conversations with the orchestrator's own program; False when nothing is stored.

    Raises `PeerFailed` with its reason.
    """
    command = [sys.executable, "-m", "orchestrator.dump", action, str(path)]
    done = subprocess.run(command, cwd=settings.root, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == _NOTHING_STORED:
        return False
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PeerFailed("backup.store_failed", f"the stored conversations: {reason}")
    return True
