"""Checks of settings, ports, model files and microphone access."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings, SettingsError
from service_kit.engines.hub import HubModel, read_hub_models
from service_kit.engines.model_lock import LockedModel, read_lock
from service_kit.engines.models import verify
from service_kit.errors import AnchorError, InvalidRequest
from service_kit.setting_problems import describe_setting_problems
from service_kit.settings import EnvironmentSettings, ServiceSettings

from anchor_cli.doctor.finding import Finding, Verdict
from anchor_cli.doctor.machine import Machine
from anchor_cli.mesh.programs import mesh_programs, ports_by_host
from anchor_cli.settings import MeshSettings

# Where the language models' engines have their settings.
_LLM_SETTINGS = ("orchestrator.llm.ollama.engine", "orchestrator.llm.openai", "orchestrator.llm.local.settings")
# What happens without a model of a hub.
_WITHOUT = {
    "voxtral-mini-3b": "without it the container voxtral does not start",
    "higgs-audio-v2": "without it eSpeak speaks",
    "higgs-audio-v2-tokenizer": "without it eSpeak speaks",
}


def settings_classes() -> Iterator[type[BaseSettings]]:
    """Settings classes of the command, of every installed service, and of the language models."""
    yield MeshSettings
    yield from service_settings_classes()
    if find_spec("orchestrator") is not None:
        yield from _settings_in(_LLM_SETTINGS)


def service_settings_classes() -> Iterator[type[BaseSettings]]:
    """Settings classes of every installed service."""
    programs = (program.module for program in mesh_programs(MeshSettings.model_construct()))
    yield from _settings_in(f"{program}.settings" for program in programs if find_spec(program) is not None)


def _settings_in(modules: Iterable[str]) -> Iterator[type[BaseSettings]]:
    for module in modules:
        found = vars(import_module(module)).values()
        own = (each for each in found if isinstance(each, type) and issubclass(each, BaseSettings))
        yield from (each for each in own if each not in (BaseSettings, EnvironmentSettings, ServiceSettings))


def familiar_names(classes: Callable[[], Iterator[type[BaseSettings]]] = settings_classes) -> set[str]:
    """The names of other voice servers that some program reads in place of its own."""
    aliases = (field.validation_alias for each in classes() for field in each.model_fields.values())
    return {str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices[1:]}


def check_settings(classes: Callable[[], Iterator[type[BaseSettings]]] = settings_classes) -> Iterator[Finding]:
    """Check that every program can read its settings from the environment."""
    checked = list(classes())
    errors = find_setting_problems(checked)
    for name, reason in errors.items():
        yield Finding(
            "settings", Verdict.PROBLEM, f"{name}: {reason}", f"correct {name}; see .env.example for its values"
        )
    if not errors:
        yield Finding("settings", Verdict.OK, f"valid for all {len(checked)} programs")


def find_setting_problems(classes: Iterable[type[BaseSettings]]) -> dict[str, str]:
    """What keeps programs from reading their settings from the environment, by variable."""
    problems: dict[str, str] = {}
    for settings_class in classes:
        try:
            settings_class()
        except (ValidationError, SettingsError) as error:
            problems |= describe_setting_problems(error)
    return problems


def require_valid_settings() -> None:
    """Raise `InvalidRequest` for settings that a service would not start with."""
    if problems := find_setting_problems(service_settings_classes()):
        lines = "\n".join(f"  {name}: {reason}" for name, reason in problems.items())
        raise InvalidRequest("settings.invalid", f"cannot start; .env.example has the values:\n{lines}")


def check_env_file(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check .env for names that no program reads; most are misspelt."""
    listed, used = (machine.read_env_names(settings.root / name) for name in (".env.example", ".env"))
    if not listed:
        return
    known = listed.keys() | familiar_names()
    for name in used.keys() - known:
        near = get_close_matches(name, known, n=1)
        fix = f"did you mean {near[0]}?" if near else "remove it, unless another program reads it"
        yield Finding("settings", Verdict.WARNING, f".env sets {name}, which no program here reads", fix)


def check_ports(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check that the ports of the mesh are free, and name the owners of taken ones."""
    names: dict[int, str] = {}
    programs = mesh_programs(settings)
    modules = [program.module for program in programs]
    for program in programs:
        names.update(program.ports)
    by_host = ports_by_host(programs)
    taken = [port for host, ports in by_host.items() for port in machine.find_taken_ports(host, ports)]
    ours = [port for port in taken if any(f"-m {module}" in port.command for module in modules)]
    if ours:
        numbers = ", ".join(str(number) for number in sorted(port.port for port in ours))
        message = f"a mesh is running, on {'port' if len(ours) == 1 else 'ports'} {numbers}"
        yield Finding("ports", Verdict.HINT, message, "stop it before starting another")
    for port in taken:
        if port not in ours:
            fix = f"stop that program, or set {names[port.port]} to a free port"
            yield Finding("ports", Verdict.PROBLEM, str(port), fix)
    if not taken:
        yield Finding("ports", Verdict.OK, f"all {len(names)} ports are free on {' and '.join(by_host)}")


def check_models(settings: MeshSettings) -> Iterator[Finding]:
    """Check that the profile's model files exist, and that these and all others that were pulled match their hashes."""
    lock, folder = settings.root / settings.models_lock, settings.root / settings.models_dir
    try:
        for locked in read_lock(lock).values():
            if settings.models in locked.sets or (not locked.flat and locked.folder_in(folder).is_dir()):
                yield _check_locked(locked, folder)
        for model in read_hub_models(lock, folder).values():
            pulled = not model.unknown and (folder / model.name).is_dir()
            if settings.profile in model.profiles or pulled:
                yield from _check_hub_files(model, folder)
    except AnchorError as error:
        yield Finding("models", Verdict.PROBLEM, error.message, "restore models.lock from the repository")


def _check_locked(model: LockedModel, folder: Path) -> Finding:
    """Check all files of a model; where a smaller engine takes its place, what is missing is a warning."""
    try:
        for file in model.files:
            verify(model.path_of(file, folder), file.sha256, model.fix_command)
    except AnchorError as error:
        verdict = Verdict.PROBLEM if "minimal" in model.sets else Verdict.WARNING
        return Finding("models", verdict, error.message, model.fix_command)
    return Finding("models", Verdict.OK, f"{model.name} matches the lock")


def _check_hub_files(model: HubModel, folder: Path) -> Iterator[Finding]:
    if model.unknown:
        without = _WITHOUT.get(model.name, "")
        message = f"{model.name} is not present, and its hashes are not known yet{without and '; '}{without}"
        yield Finding("models", Verdict.WARNING, message, f"{model.pull_command}")
        return
    for file in model.files:
        path = model.path_of(file, folder)
        # A plan need not use the model; a wrong file is always a problem.
        verdict = Verdict.PROBLEM if path.exists() else Verdict.WARNING
        yield _check_file(f"{model.name}/{file.path}", path, file.sha256, model.pull_command, verdict)


def _check_file(name: str, path: Path, sha256: str, cure: str, verdict: Verdict) -> Finding:
    try:
        verify(path, sha256, cure)
    except AnchorError as error:
        return Finding("models", verdict, error.message, cure)
    return Finding("models", Verdict.OK, f"{name} matches the lock")


def check_microphone(settings: MeshSettings) -> Iterator[Finding]:
    """Check whether browsers will allow the microphone."""
    if _is_loopback(settings.host):
        message = f"browsers allow the microphone at {settings.address} on this machine only"
        fix = "for other devices, use HTTPS: the profile proxy (docs/operations.md)"
        yield Finding("microphone", Verdict.HINT, message, fix)
    else:
        message = f"browsers on other devices refuse the microphone over plain HTTP on {settings.host}"
        fix = "use HTTPS: the profile proxy with ANCHOR_SITE and SHARED_SECRET (docs/operations.md)"
        yield Finding("microphone", Verdict.WARNING, message, fix)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
