"""Fetches and verifies the models of kind `hub`: whole folders of a hub repository.

What the project does not pin is pinned here, at the first pull: the hub is asked for the commit, and for the size and
hash of each file, and these are in the trust list before the first byte is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from service_kit.anchor_command import anchor_command
from service_kit.engines.hub import (
    MOVING,
    HubFile,
    HubModel,
    read_trusted,
    trust,
    with_trust,
)
from service_kit.engines.models import verify
from service_kit.errors import EngineFailed, PeerFailed

from anchor_cli.model_store.assembly import copy_own
from anchor_cli.model_store.download import MAX_FILE_BYTES, Download
from anchor_cli.model_store.hub.content_hash import git_blob_sha1, sha256_of
from anchor_cli.model_store.hub.listing import Listing, files_of, read_listing
from anchor_cli.model_store.hub.piper_voices import read_licences
from anchor_cli.model_store.progress import StoreProgress
from anchor_cli.model_store.refusals import gated_message
from anchor_cli.model_store.weights_format import SAFETENSORS, require_tensor

# Disk space left free.
_SPARE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class PlannedPull:
    """A model whose files are known, and what of it is missing.

    `git_sha1` has the hash of the Git blob of files whose SHA-256 the hub does not state.
    """

    model: HubModel
    missing: tuple[HubFile, ...]
    git_sha1: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class HubPull:
    """Fetches models of a hub into the models folder; `own` is the user's folder with copies of them, if there is one.

    Without `has_token`, files of gated repositories are not asked for.
    """

    folder: Path
    hub_url: str
    client: Callable[[], httpx.Client]
    progress: StoreProgress
    free_bytes: Callable[[Path], int]
    sleep: Callable[[float], None]
    own: Path | None = None
    has_token: bool = False

    def run(self, models: Sequence[HubModel], *, trust_on_first_use: bool = False) -> None:
        """Fetch what is missing of these models. Raises `AnchorError` at the first failure.

        All models are looked up before the first of them is fetched. `trust_on_first_use` accepts files whose hash
        neither the project nor the hub states.
        """
        with self.client() as client:
            plans = [self._plan(client, model, trust_on_first_use) for model in models]
            self._check_space(plans)
            for plan in plans:
                self._pull_model(client, plan)

    def missing_of(self, model: HubModel) -> tuple[HubFile, ...]:
        """Return the files that are missing or changed."""
        return tuple(file for file in model.files if not self._is_present(model, file))

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

    def _plan(self, client: httpx.Client, model: HubModel, trust_on_first_use: bool) -> PlannedPull:
        if model.unknown and self.own is not None:
            model = self._adopt_own_hashes(model, self.own)
        if not model.unknown:
            return self._announced(PlannedPull(model, self.missing_of(model)))
        try:
            listings = self._listings(client, model)
        except PeerFailed as error:
            # A mirror may have files and no lists of them.
            if error.code == "models.gated" or not model.files or not trust_on_first_use:
                raise
            listings = {}
        plan = self._pinned(model, listings)
        gated = [origin for origin, listing in listings.items() if listing.gated]
        if plan.missing and gated and not self.has_token:
            raise PeerFailed("models.gated", gated_message(self.hub_url, gated[0][0], has_token=False))
        unnamed = [f"{plan.model.name}/{f.path}" for f in plan.missing if not f.sha256 and f.path not in plan.git_sha1]
        if unnamed and not trust_on_first_use:
            raise EngineFailed(
                "models.unknown_hash",
                f"neither models.lock nor the hub states the hash of {', '.join(unnamed)}; --trust-on-first-use "
                "accepts the files as they arrive and pins their hashes",
            )
        for file in plan.model.files:
            trust(plan.model, file, self.folder)
        return self._announced(plan, gated=bool(gated), licences=read_licences(client, self.hub_url, plan.model))

    def _listings(self, client: httpx.Client, model: HubModel) -> dict[tuple[str, str], Listing]:
        """What the hub says of each repository that has files without a known hash."""
        unknown = [model.origin_of(file) for file in model.files if not file.sha256]
        origins = dict.fromkeys(unknown or [(model.repository, model.revision)])
        return {origin: read_listing(client, self.hub_url, *origin) for origin in origins}

    def _pinned(self, model: HubModel, listings: Mapping[tuple[str, str], Listing]) -> PlannedPull:
        """Complete `model` by what the hub states: its files, their sizes and hashes, the commit."""
        main = listings.get((model.repository, model.revision))
        origins = {file.path: model.origin_of(file) for file in model.files}
        if main is not None:
            model = replace(model, revision=main.commit) if model.files else files_of(model, main)
        files, git_sha1 = list[HubFile](), dict[str, str]()
        for file in model.files:
            listing = listings.get(origins.get(file.path, model.origin_of(file)), main)
            found = listing.files.get(model.path_in_repository(file)) if listing is not None else None
            if listing is not None and found is None and not file.sha256:
                repository, _ = model.origin_of(file)
                message = f"{repository} has no file {model.path_in_repository(file)} at {listing.commit[:12]}"
                raise PeerFailed("models.not_fetched", message)
            if found is not None and not file.sha256 and found.size_bytes:
                limit = model.max_bytes or MAX_FILE_BYTES
                if found.size_bytes > limit:
                    message = f"{file.path} has {found.size_bytes / 1e9:.1f} GB there, and at most {limit / 1e9:.1f} GB"
                    with _alternatives_named(model):
                        raise EngineFailed("models.too_large", f"{message} are expected")
                file = replace(file, sha256=found.sha256, size_bytes=found.size_bytes)
                if found.git_sha1:
                    git_sha1[file.path] = found.git_sha1
            files.append(file)
        model = replace(model, files=tuple(files))
        return PlannedPull(model, self.missing_of(model), git_sha1)

    def _adopt_own_hashes(self, model: HubModel, own: Path) -> HubModel:
        """Take over what an earlier pull into the user's own folder pinned."""
        try:
            trusted = read_trusted(own)
        except EngineFailed as error:
            self.progress.print_line(f"{own} is not used: {error.message}")
            return model
        adopted = with_trust(model, trusted)
        if adopted.unknown:
            return model
        for file in adopted.files:
            trust(adopted, file, self.folder)
        return adopted

    def _announced(self, plan: PlannedPull, *, gated: bool = False, licences: str = "") -> PlannedPull:
        """Say what will be fetched, before it is."""
        if not plan.missing:
            return plan
        model = plan.model
        size = sum(file.size_bytes for file in plan.missing) or model.about_bytes
        facts = [
            f"{size / 1e6:,.1f} MB in {len(plan.missing)} files" if size else f"{len(plan.missing)} files",
            f"licence {licences or model.licence}",
            f"from {model.repository}" + (" (gated)" if gated or model.gated else ""),
        ]
        if plan.git_sha1 or any(not file.sha256 for file in model.files) or self._is_pinned_here(model):
            facts.append(f"pinned here, not by the project, at {model.revision[:12]}")
        self.progress.print_line(f"{model.name}: {', '.join(facts)}")
        return plan

    def _is_pinned_here(self, model: HubModel) -> bool:
        return any(name.startswith(f"{model.name}/") for name in read_trusted(self.folder))

    def _check_space(self, plans: Iterable[PlannedPull]) -> None:
        parts = [(file, _part(plan.model.path_of(file, self.folder))) for plan in plans for file in plan.missing]
        needed = sum(max(0, file.size_bytes - (part.stat().st_size if part.exists() else 0)) for file, part in parts)
        free = self.free_bytes(self.folder)
        if needed and needed > self._usable_bytes():
            raise EngineFailed(
                "models.no_space",
                f"{needed / 1e9:.1f} GB to fetch, but only {free / 1e9:.1f} GB are free at {self.folder}",
            )

    def _usable_bytes(self) -> int:
        return self.free_bytes(self.folder) - _SPARE_BYTES

    def _pull_model(self, client: httpx.Client, plan: PlannedPull) -> None:
        model = plan.model
        for file in plan.missing:
            if not self._take_own(model, file):
                model = self._pull_file(client, model, file, plan.git_sha1.get(file.path, ""))

    def _take_own(self, model: HubModel, file: HubFile) -> bool:
        """Copy the user's own file, if there is one with the known hash."""
        if self.own is None or not file.sha256:
            return False
        own, target = model.path_of(file, self.own), model.path_of(file, self.folder)
        return copy_own(f"{model.name}/{file.path}", file, own, target, self.progress.print_line)

    def _pull_file(self, client: httpx.Client, model: HubModel, file: HubFile, git_sha1: str) -> HubModel:
        """Fetch one file; returns `model` at the commit that the hub reported, if its revision was a moving one."""
        path = model.path_of(file, self.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        repository, revision = model.origin_of(file)
        if not file.sha256 and revision == MOVING:
            # The partial file may be of another revision, and there is no hash to detect that.
            _part(path).unlink(missing_ok=True)
        url = f"{self.hub_url.rstrip('/')}/{repository}/resolve/{revision}/{model.path_in_repository(file)}"
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
                sha256=file.sha256,
                hub_url=self.hub_url,
                repository=repository,
            )
            download.run()
            if model.has_tensor and path.suffix == SAFETENSORS:
                require_tensor(_part(path), file.path, model.has_tensor)
        if git_sha1 and git_blob_sha1(_part(path)) != git_sha1:
            _part(path).unlink()
            raise EngineFailed(
                "models.mismatch", f"{model.name}/{file.path} is not the file that the hub lists; deleted"
            )
        if not file.sha256:
            model = replace(model, revision=download.commit or MOVING) if model.revision == MOVING else model
            file = replace(file, sha256=sha256_of(_part(path)), size_bytes=_part(path).stat().st_size)
            trust(model, file, self.folder)
            self.progress.print_line(f"{model.name}/{file.path}: pinned, SHA-256 {file.sha256}")
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
        others = " or ".join(f"`{anchor_command(f'pull {name}')}`" for name in model.alternatives)
        message = f"{model.repository} does not hold {model.name}: {error.message}; {others} fetches a copy of it"
        raise EngineFailed(error.code, message) from error


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
