"""The files of a model that are missing, and the sources that are left for each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from service_kit.engines.model_lock import LockedFile, LockedModel, PartsSource, Source
from service_kit.engines.models import verify
from service_kit.errors import AnchorError


@dataclass(slots=True, eq=False)
class MissingFile:
    """A file that is not there; the first of `sources` is the one to take next."""

    model: LockedModel
    file: LockedFile
    target: Path
    sources: list[Source] = field(init=False)
    reasons: list[str] = field(default_factory=list[str], init=False)

    def __post_init__(self) -> None:
        self.sources = list(self.file.sources)

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.file.path if self.model.flat else f"{self.model.name}/{self.file.path}"

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that its current source needs, in order."""
        return packages_of(self.sources[:1])

    def drop_source(self, reason: str) -> None:
        """Drop the current source for a reason."""
        self.sources.pop(0)
        self._add_reason(reason)

    def leave_out(self, reason: str) -> None:
        """Drop all its sources for a reason."""
        self.sources.clear()
        self._add_reason(reason)

    def _add_reason(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)


def find_missing(model: LockedModel, folder: Path) -> list[MissingFile]:
    """Return the files of a model that are missing, damaged, swapped or half fetched."""
    entries = [MissingFile(model, file, model.path_of(file, folder)) for file in model.files]
    return [entry for entry in entries if not is_verified(entry.target, entry.file)]


def is_verified(path: Path, file: LockedFile) -> bool:
    """Return whether the file at `path` has the size and the SHA-256 of `file`."""
    try:
        # Compare sizes first: hashing gigabytes is slow.
        if path.stat().st_size != file.size_bytes:
            return False
        verify(path, file.sha256)
    except (AnchorError, OSError):
        return False
    return True


def packages_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """Return the packages that these sources need, in order."""
    parts = [part for source in sources if isinstance(source, PartsSource) for part in source.parts]
    return tuple(dict.fromkeys(part.package for part in parts))
