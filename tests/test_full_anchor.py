"""docs/full-anchor.md: its commands, settings, figures and start order are those of the repository."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from anchor_cli.app import app
from anchor_cli.doctor import machine_checks
from anchor_cli.plan.budget import ServiceMemory
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.overrides import build_planner
from anchor_cli.verification.checks.limits import LEAST_DISK_GB
from compose_config import rendered
from dotenv import dotenv_values
from service_kit.engines.hub import read_hub_models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/full-anchor.md").read_text("utf-8")
CARD = "rtx6000-ada"
PLAN = ROOT / f"deploy/profiles/{CARD}.env"
GIB = 2**30
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
# What stands in code: the lines of blocks, and what is in backticks.
LINES = [line for block in BLOCKS for line in block.splitlines()]
QUOTED = re.findall(r"`([^`\n]+)`", PAGE)
COMMANDS = [shlex.split(command) for command in (*LINES, *QUOTED) if command.count("'") % 2 == 0]


def programs(*start: str) -> list[list[str]]:
    """The arguments of each command on the page that begins with these words."""
    found = [command[len(start) :] for command in COMMANDS if tuple(command[: len(start)]) == start]
    assert found, f"no command begins with {start}"
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """What `docker compose up` starts on such a card."""
    return rendered(PLAN)


@pytest.fixture(scope="module")
def planned() -> dict[str, ServiceMemory]:
    """The memory of each service on such a card."""
    catalogue = read_catalogue()
    plan = build_planner(catalogue, [], None).plan(catalogue.cards[CARD])
    return {service.service: service for service in plan.services}


def rows(heading: str, cells: int) -> list[list[str]]:
    """The rows of so many cells between a heading and the next."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table if len(row) == cells]


@pytest.mark.parametrize("arguments", programs(".venv/bin/anchor"), ids=" ".join)
def test_every_anchor_command_parses(arguments: list[str]) -> None:
    name, command, left = "anchor", cast("Any", typer.main.get_command(app)), list(arguments)
    while commands := getattr(command, "commands", None):
        name = left.pop(0)
        command = commands[name]
    # Raises for an unknown option, a missing argument and one too many.
    assert command.make_context(name, left).command is command


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {arguments[0] for arguments in programs("make") if arguments} <= targets


def test_every_named_container_is_started(services: dict[str, Any]) -> None:
    named = {name for row in rows("8. Start", 5) for name in re.findall(r"`([a-z-]+)`", row[1])}
    assert {"tts-service", "ollama-gpu", "voxtral", "orchestrator"} <= named
    for arguments in programs("docker", "compose"):
        if arguments[0] in ("logs", "exec", "restart", "build", "up"):
            words = [word for word in arguments[1:] if not word.startswith("-") and word != "SERVICE"]
            named |= set(words[:1] if arguments[0] == "exec" else words)
    assert named <= services.keys()


def test_the_start_order_is_that_of_compose(services: dict[str, Any]) -> None:
    order = [re.findall(r"`([a-z-]+)`", row[1]) for row in rows("8. Start", 5) if row[0].isdigit()]
    place = {name: number for number, names in enumerate(order) for name in names}
    for name, number in place.items():
        for other in services[name].get("depends_on", ()):
            if other in place:
                assert place[other] <= number, f"{name} waits for {other}"
    # Each server waits for the one before, directly or by another.
    for name, other in (("ollama-gpu", "tts-service"), ("voxtral", "ollama-gpu"), ("stt-service", "voxtral")):
        assert other in services[name]["depends_on"]


def test_the_limits_of_the_start_are_those_of_the_health_checks(services: dict[str, Any]) -> None:
    limits = {name: row[3] for row in rows("8. Start", 5) for name in re.findall(r"`([a-z-]+)`", row[1])}
    written = {"15m0s": "15 min", "2h0m0s": "2 h", "30m0s": "30 min"}
    for name in ("tts-service", "ollama-gpu", "voxtral"):
        assert limits[name] == written[services[name]["healthcheck"]["start_period"]]


def test_the_memory_is_that_of_the_plan(planned: dict[str, ServiceMemory]) -> None:
    gib = {name: service.total_bytes / GIB for name, service in planned.items()}
    total = sum(gib.values())
    assert {row[0]: row[2] for row in rows("4. Settings", 3) if row[0] in gib} == {
        name: f"{each:.2f}" for name, each in gib.items()
    }
    assert f"of 45.99 that may be used | {total:.2f} |" in PAGE
    on_the_card = [float(row[4].removesuffix(" GiB")) for row in rows("8. Start", 5) if row[4].endswith("GiB")]
    assert on_the_card == [round(each, 1) for each in (0, gib["tts"], gib["tts"] + gib["llm"], total, total, total)]


def test_the_requirements_are_those_that_are_checked() -> None:
    needs = {row[0]: row[1] for row in rows("Before you begin", 3)}
    assert needs["driver"] == str(machine_checks.MIN_DRIVER)
    assert needs["disk"] == f"{LEAST_DISK_GB:g} GB free"
    versions = [f"{major}.{minor}" for major, minor in (machine_checks.MIN_DOCKER, machine_checks.MIN_COMPOSE)]
    assert needs["Docker Engine, Compose"] == ", ".join(versions).replace(".0,", ",")
    assert f"nvidia-driver-{machine_checks.MIN_DRIVER}-server" in PAGE
    models, docker = machine_checks.MODELS_GB["gpu"], machine_checks.DOCKER_GB
    assert f"{models[0]} GB for the first, {docker[0]} for the\nsecond, better {models[1]} and {docker[1]}." in PAGE


def test_the_sizes_add_up() -> None:
    table = rows("Before you begin", 4)
    sizes = [(float(row[1]), row[2]) for row in table if row[2] in ("`models/`", "Docker")]
    total = next(float(row[1].strip("*")) for row in table if row[0] == "**sum**")
    assert round(sum(size for size, _ in sizes)) == total
    assert f"and {LEAST_DISK_GB - total:.0f} to build and unpack" in PAGE
    downloads = {row[0].partition(",")[0]: float(row[1]) for row in table if row[0][:1].isdigit()}
    assert downloads["5"] == round(sum(size for size, place in sizes if place == "`models/`"), 1)
    assert downloads["8"] == next(float(row[1]) for row in table if row[0].startswith("Mistral"))
    # Minutes at two rates; the driver's 0.4 GB are in the sum.
    for row in (row for row in table if row[0][:1].isdigit()):
        for cell, mbit in ((row[2], 100), (row[3], 1000)):
            number, unit = cell.split()
            seconds = float(row[1]) * 8000 / mbit
            assert abs(float(number) * {"min": 60, "s": 1}[unit] - seconds) <= (30 if unit == "min" else 1), row
    assert f"{round(sum(downloads.values()) + 0.4)} GB in all" in PAGE


def test_the_weights_are_those_of_the_plan(planned: dict[str, ServiceMemory]) -> None:
    gb = {name: service.weights.bytes / 1e9 for name, service in planned.items()}
    disk = {row[0]: row for row in rows("Before you begin", 4)}
    assert float(disk["Voxtral Mini 3B"][1]) == round(gb["stt"], 1)
    assert float(disk["Mistral Small 24B Q4_K_M"][1]) == round(gb["llm"], 1)
    text_head = 128256 * 3072 * 2 / 1e9
    assert float(disk["higgs-audio v2"][1]) == round(gb["tts"] + text_head, 1)
    assert f"{gb['tts']:.1f} that are loaded" in disk["higgs-audio v2"][3]


def test_every_setting_exists() -> None:
    known = dotenv_values(ROOT / ".env.example").keys() | set(
        re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    )
    named = {match for text in QUOTED for match in re.findall(r"^([A-Z]+_[A-Z_]+)(?:=\S*)?$", text)}
    assert {"MAX_LATENCY_MS", "ANCHOR_GPU", "OLLAMA_MEMORY_LIMIT"} <= named
    assert named <= known


def test_every_model_to_pull_is_known() -> None:
    models = read_hub_models(ROOT / "models.lock", ROOT / "models")
    pulled = {name for arguments in programs(".venv/bin/anchor", "pull") for name in arguments if name[:2] != "--"}
    assert pulled <= models.keys() | {"gpu"}
    assert {"voxtral-mini-3b", "higgs-audio-v2", "higgs-audio-v2-tokenizer"} == {
        name for name, model in models.items() if "gpu" in model.profiles
    }


def test_the_page_is_linked() -> None:
    for page in ("README.md", "docs/setup.md", "docs/operations.md"):
        assert "full-anchor.md)" in (ROOT / page).read_text("utf-8"), page
