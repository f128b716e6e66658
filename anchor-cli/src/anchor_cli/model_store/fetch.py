"""Fetches the models of kind `files`: missing files only, from the first source that gives each of them.

The fetch goes in rounds. In a round, every missing file takes the first of its sources that is not passed over; all
downloads of the round run a few at a time; then the files are assembled and verified. What fails takes its next source
in the next round, and a file without a further source is left out with its reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service_kit.engines.model_lock import LockedModel

from anchor_cli.model_store.assembly import copy_own
from anchor_cli.model_store.downloads import Downloads
from anchor_cli.model_store.missing import MissingFile, find_missing
from anchor_cli.model_store.progress import StoreProgress, Tally

# Disk space left free.
SPARE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class FileFetch:
    """Fetches models into `folder`; `own` is the user's folder with copies of them, if there is one."""

    folder: Path
    own: Path | None
    downloads: Downloads
    progress: StoreProgress
    free_bytes: Callable[[], int]

    def run(self, models: Sequence[LockedModel]) -> dict[str, str]:
        """Fetch what is missing of these models. Returns the models that are left out, each with the reasons."""
        missing = [file for model in models for file in find_missing(model, self.folder)]
        for file in missing:
            if file.target.exists():
                self.progress.print_line(f"{file.name}: damaged or not the file that the lock names; replacing it")
        wanted = [file for file in missing if not self._take_own(file)]
        self.downloads.remove_carriers(models, wanted)
        if wanted:
            self._fetch(wanted)
        for model in {file.model.name: file.model for file in missing}.values():
            if all(file.sources for file in missing if file.model is model):
                size = sum(file.size_bytes for file in model.files)
                self.progress.print_line(f"{model.name}: verified, {size / 1e6:.1f} MB ({model.licence})")
        gone = [file for file in wanted if not file.sources]
        return {file.model.name: f"{file.name}: {'; '.join(file.reasons)}" for file in reversed(gone)}

    def _take_own(self, missing: MissingFile) -> bool:
        if self.own is None:
            return False
        own = missing.model.path_of(missing.file, self.own)
        return copy_own(missing.name, missing.file, own, missing.target, self.progress.print_line)

    def _fetch(self, wanted: Sequence[MissingFile]) -> None:
        self.downloads.origins.ask(source for file in wanted for source in file.sources)
        missing, waiting = list(wanted), self._ready(wanted)
        while waiting:
            size, names = self.downloads.fetched_bytes(waiting), dict.fromkeys(file.model.name for file in waiting)
            self.progress.print_line(f"fetching {size / 1e6:.0f} MB for {', '.join(names)}")
            with self.progress.track("models") as advance:
                failed = self.downloads.run(waiting, Tally(size, advance))
            missing = [file for file in missing if file not in waiting or file.name in failed]
            self.downloads.remove_carriers([file.model for file in waiting], missing)
            for file in missing:
                if file.name in failed:
                    file.drop_source(failed[file.name])
            waiting = self._ready([file for file in waiting if file.name in failed])

    def _ready(self, files: Sequence[MissingFile]) -> list[MissingFile]:
        """Return the files that have a source left, which is not passed over, and fit on the disk."""
        for file in files:
            while file.sources and (reason := self.downloads.origins.silence_of(file.sources[0])):
                file.drop_source(reason)
        usable = self.free_bytes() - SPARE_BYTES
        for name in dict.fromkeys(file.model.name for file in files):
            of_model = [file for file in files if file.model.name == name and file.sources]
            needed = self.downloads.needed_bytes(of_model)
            if needed > usable:
                reason = f"{needed / 1e6:.0f} MB of disk are needed, but only {max(0, usable) / 1e6:.0f} MB are free"
                for file in of_model:
                    file.leave_out(reason)
            else:
                usable -= needed
        return [file for file in files if file.sources]
