"""Fetches and verifies the models of kind `hub`: whole folders of a hub repository."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from service_kit.anchor_command import anchor_command
from service_kit.engines.hub import MOVING, HubFile, HubModel, trust
from service_kit.engines.models import verify
from service_kit.errors import EngineFailed

from anchor_cli.model_store.download import MAX_FILE_BYTES, Download
from anchor_cli.model_store.listing import list_files
from anchor_cli.model_store.progress import StoreProgress
from anchor_cli.model_store.weights_format import SAFETENSORS, require_tensor

# Disk space left free.
_SPARE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class HubPull:
    """Fetches models of a hub into the models folder."""

    folder: Path
    hub_url: str
    client: Callable[[], httpx.Client]
    progress: StoreProgress
    free_bytes: Callable[[Path], int]
    sleep: Callable[[float], None]

    def run(self, models: Sequence[HubModel]) -> None:
        """Fetch what is missing of these models. Raises `AnchorError` at the first failure."""
        models = [model if model.files else self._list_and_trust(model) for model in models]
        missing = self.missing_of(models)
        self._check_space(missing)
        with self.client() as client:
            for model in models:
                self._pull_model(client, model, [file for owner, file in missing if owner is model])

    def missing_of(self, models: Sequence[HubModel]) -> list[tuple[HubModel, HubFile]]:
        """Return the files that are missing or changed."""
        return [(model, file) for model in models for file in model.files if not self._is_present(model, file)]

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
        place = model.path_in_repository(file)
        url = f"{self.hub_url.rstrip('/')}/{model.repository}/resolve/{model.revision}/{place}"
        with self.progress.track(f"{model.name}/{file.path}") as advance, _alternatives_named(model):
            download = Download(
                client,
                url,
                file.path,
                file.size_bytes,
                _part(path),
                advance,
                self._usable_bytes,
                self.sleep,
                max_bytes=model.max_bytes or MAX_FILE_BYTES,
            )
            download.run()
            if model.has_tensor and path.suffix == SAFETENSORS:
                require_tensor(_part(path), file.path, model.has_tensor)
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


@contextmanager
def _alternatives_named(model: HubModel) -> Generator[None]:
    """Name the model's alternatives in the error of a file that is not the expected one."""
    try:
        yield
    except EngineFailed as error:
        if not model.alternatives or error.code not in ("models.too_large", "models.wrong_weights"):
            raise
        others = " or ".join(f"`{anchor_command(f'pull {name} --trust-on-first-use')}`" for name in model.alternatives)
        message = f"{model.repository} does not hold {model.name}: {error.message}; {others} fetches a copy of it"
        raise EngineFailed(error.code, message) from error


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
