"""The model store: fetches and verifies the models of sets, profiles or names."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import get_args

import httpx
from service_kit.engines.hub import HubModel, distrust, read_hub_entries, read_hub_models, read_trusted
from service_kit.engines.model_lock import LockedModel, read_lock, read_packages, read_short_names
from service_kit.errors import EngineFailed, InvalidRequest
from service_kit.settings import ModelSet, Profile

from anchor_cli.model_store.carriers import PackageClient
from anchor_cli.model_store.downloads import Downloads
from anchor_cli.model_store.fetch import SPARE_BYTES, FileFetch
from anchor_cli.model_store.folder_lock import hold_folder
from anchor_cli.model_store.hub.piper_voices import PIPER, is_voice, with_voices
from anchor_cli.model_store.hub.pull import HubPull
from anchor_cli.model_store.missing import find_missing
from anchor_cli.model_store.origins import Origins
from anchor_cli.model_store.progress import StoreProgress

PROFILES: tuple[str, ...] = get_args(Profile)


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Source and destination of model files; `model_set` is what every profile includes."""

    lock: Path
    folder: Path
    hub_url: str
    client: Callable[[], httpx.Client]
    progress: StoreProgress
    model_set: ModelSet = "default"
    # A folder with the user's own copies of model files.
    own: Path | None = None
    # Whether the client sends a token to the hub.
    has_token: bool = False
    # The voices that `piper` stands for.
    piper_voices: tuple[str, ...] = ()
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    sleep: Callable[[float], None] = time.sleep
    packages: Callable[[Event], PackageClient] = PackageClient

    def fetch_set(self) -> dict[str, str]:
        """Fetch and verify the models of the set. Returns those that are left out, each with the reasons."""
        models = [model for model in read_lock(self.lock).values() if self.model_set in model.sets]
        with hold_folder(self.folder, self.progress.print_line):
            return self._fetch(models)

    def pull(
        self, names: Sequence[str], *, offline: bool = False, trust_on_first_use: bool = False, renew: bool = False
    ) -> None:
        """Fetch and verify the models of these profiles and names. Raises `AnchorError` when one cannot be had.

        `renew` forgets what was pinned here at an earlier pull, and pins what the hub has now.
        """
        of_files, from_hub = self._select(names)
        with hold_folder(self.folder, self.progress.print_line):
            if renew and not offline:
                distrust([model.name for model in from_hub], self.folder)
            # Again, because another fetch may have pinned files meanwhile.
            of_files, from_hub = self._select(names)
            hub = HubPull(
                self.folder,
                self.hub_url,
                self.client,
                self.progress,
                self.free_bytes,
                self.sleep,
                self.own,
                self.has_token,
            )
            if offline:
                self._check_offline(hub, of_files, from_hub)
                return
            if left_out := self._fetch(of_files):
                reasons = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
                raise EngineFailed("models.not_fetched", f"cannot fetch {reasons}")
            if from_hub:
                hub.run(from_hub, trust_on_first_use=trust_on_first_use)

    def _fetch(self, models: Sequence[LockedModel]) -> dict[str, str]:
        stop, carriers = Event(), read_packages(self.lock)
        with self.client() as client:
            packages = self.packages(stop)
            origins = Origins(client, packages, carriers, self.hub_url)
            downloads = Downloads(self.folder, client, packages, carriers, origins, self._usable_bytes, self.sleep)
            fetch = FileFetch(self.folder, self.own, downloads, self.progress, lambda: self.free_bytes(self.folder))
            return fetch.run(models)

    def _usable_bytes(self) -> int:
        return self.free_bytes(self.folder) - SPARE_BYTES

    def _select(self, names: Sequence[str]) -> tuple[list[LockedModel], list[HubModel]]:
        files, hub, short = read_lock(self.lock), read_hub_models(self.lock, self.folder), read_short_names(self.lock)
        voices = [name for name in names if is_voice(name) and PIPER in hub]
        if unknown := set(names) - {*PROFILES, *files, *hub, *short, *voices}:
            known = ", ".join([*PROFILES, *short, *files, *hub])
            raise InvalidRequest("models.unknown", f"no profile or model {', '.join(sorted(unknown))}; known: {known}")
        profiles = {name for name in names if name in PROFILES}
        named = {*names, *(model for name in names for model in short.get(name, ()))}
        # The set belongs to every profile.
        of_files = [m for m in files.values() if m.name in named or (profiles and self.model_set in m.sets)]
        from_hub = [m for m in hub.values() if m.name != PIPER and (m.name in named or profiles & {*m.profiles})]
        if PIPER in named:
            voices += self.piper_voices
        if voices:
            from_hub.append(with_voices(read_hub_entries(self.lock)[PIPER], voices, read_trusted(self.folder)))
        return of_files, from_hub

    def _check_offline(self, hub: HubPull, models: Iterable[LockedModel], from_hub: Sequence[HubModel]) -> None:
        absent: list[str] = []
        for model in models:
            if missing := find_missing(model, self.folder):
                absent += [file.name for file in missing]
            else:
                self.progress.print_line(f"{model.name}: already present")
        absent += [model.name for model in from_hub if not model.files]
        absent += [f"{model.name}/{file.path}" for model in from_hub for file in hub.missing_of(model)]
        if absent:
            raise EngineFailed("models.missing", f"missing or changed: {', '.join(absent)}")
