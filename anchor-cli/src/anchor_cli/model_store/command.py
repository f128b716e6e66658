"""The commands `anchor models` and `anchor pull`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from service_kit.engines.model_lock import read_lock
from service_kit.errors import AnchorError, EngineFailed
from service_kit.settings import ModelSet

from anchor_cli.console import load_settings_or_exit, print_failure, reported_failures
from anchor_cli.dotenv_file import load_env_file
from anchor_cli.model_store.catalogue import print_catalogue
from anchor_cli.model_store.progress import TerminalProgress
from anchor_cli.model_store.pull import ModelStore
from anchor_cli.settings import MeshSettings

# Models that no smaller engine replaces: without them the mesh does not start.
_NEEDED: ModelSet = "minimal"


def models_command(
    every: Annotated[bool, typer.Option("--all", help="List every model that can be pulled; fetch nothing.")] = False,
) -> None:
    """Fetch the models of the set ANCHOR_MODELS; verified files are not fetched again."""
    console = Console()
    settings = load_settings_or_exit(console)
    if every:
        _print_all(settings, console)
        return
    with _failures_printed(console):
        store = build_store(settings, console)
        left_out = store.fetch_set()
        sets = {name: model.sets for name, model in read_lock(store.lock).items()}
        complete = [name for name, of in sets.items() if settings.models in of and name not in left_out]
        store.progress.print_line(f"models of the set {settings.models}: {', '.join(complete) or 'none'}")
        for name, reason in left_out.items():
            store.progress.print_line(f"{name}: left out ({reason})")
        if needed := [name for name in left_out if _NEEDED in sets[name]]:
            message = f"no start without {', '.join(needed)}; check the network, then `make setup` tries again"
            raise EngineFailed("models.not_fetched", message)
        if left_out:
            store.progress.print_line("a smaller engine takes the place of each; `make setup` tries again")


def pull_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models, Piper voices or profiles; without a name, all models are listed."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only verify the local files.")] = False,
    trust_on_first_use: Annotated[
        bool,
        typer.Option(
            "--trust-on-first-use",
            help="Accept files whose hash neither models.lock nor the hub states, and pin the hash.",
        ),
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Pin what the hub has now, in place of what an earlier pull pinned.")
    ] = False,
) -> None:
    """Fetch models by name, resume partial downloads, and verify each file's hash; without a name, list all models."""
    console = Console()
    # For the token of the hub. Variables of the shell take precedence.
    with reported_failures(console):
        load_env_file(Path.cwd() / ".env")
    settings = load_settings_or_exit(console)
    if not names and not offline:
        _print_all(settings, console)
        return
    with _failures_printed(console):
        build_store(settings, console).pull(
            names or [settings.profile], offline=offline, trust_on_first_use=trust_on_first_use, renew=renew
        )


def _print_all(settings: MeshSettings, console: Console) -> None:
    with _failures_printed(console):
        lock, folder = settings.root / settings.models_lock, settings.root / settings.models_dir
        print_catalogue(console, lock, folder, has_token=bool(settings.models_hub_token.get_secret_value()))


def _hub_authorization(hub_url: str, token: str) -> Callable[[httpx.Request], httpx.Request]:
    """The hub's token for requests to the hub only: other sources of models.lock are on other hosts.

    httpx drops it on redirects to another host.
    """
    hub = httpx.URL(hub_url)

    def authorize(request: httpx.Request) -> httpx.Request:
        origin = (request.url.scheme, request.url.host, request.url.port)
        if token and origin == (hub.scheme, hub.host, hub.port):
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorize


@contextmanager
def _failures_printed(console: Console) -> Generator[None]:
    try:
        yield
    except (AnchorError, OSError) as error:
        code, message = (error.code, error.message) if isinstance(error, AnchorError) else ("models.io", str(error))
        print_failure(console, code, message)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped; the next fetch goes on with what is complete")
        raise typer.Exit(130) from None


def build_store(settings: MeshSettings, console: Console) -> ModelStore:
    """The model store for `settings`."""
    authorize = _hub_authorization(settings.models_hub_url, settings.models_hub_token.get_secret_value())
    return ModelStore(
        lock=settings.root / settings.models_lock,
        folder=settings.root / settings.models_dir,
        hub_url=settings.models_hub_url,
        client=lambda: httpx.Client(
            auth=authorize,
            headers={"Accept-Encoding": "identity"},
            timeout=httpx.Timeout(30.0, connect=10.0),
            follow_redirects=True,
            max_redirects=5,
        ),
        progress=TerminalProgress(console),
        model_set=settings.models,
        own=settings.models_own_dir,
        has_token=bool(settings.models_hub_token.get_secret_value()),
        piper_voices=settings.piper_voices,
    )
