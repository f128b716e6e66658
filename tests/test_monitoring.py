"""The dashboard and the alerts query exported metrics, and Prometheus scrapes every service."""

from __future__ import annotations

import json
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
import yaml
from compose_config import rendered
from orchestrator.conversation.observability.waterfall import Stage
from prometheus_client import REGISTRY

DEPLOY = Path(__file__).parents[1] / "deploy"
PACKAGES = ("service_kit", "vad_service", "stt_service", "tts_service", "gpu_monitor", "orchestrator")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def exported() -> set[str]:
    """Every series that the services can export."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            spec = module.module_finder.find_spec(module.name, None)
            assert spec is not None
            assert spec.origin is not None
            if "prometheus_client import" in Path(spec.origin).read_text("utf-8"):
                import_module(module.name)
    families = [family for family in REGISTRY.collect() if family.name.startswith("anchor_")]
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def dashboard_expressions() -> list[str]:
    panels = json.loads((DEPLOY / "grafana/dashboards/anchor.json").read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def alert_expressions() -> list[str]:
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text("utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expressions", [dashboard_expressions, alert_expressions])
def test_every_queried_metric_is_exported(expressions) -> None:
    queried = {name for expression in expressions() for name in re.findall(r"\banchor_\w+", expression)}
    assert len(queried) > 5
    assert queried - exported() == set()


@pytest.mark.parametrize("expressions", [dashboard_expressions, alert_expressions])
def test_every_queried_stage_is_in_the_waterfall(expressions) -> None:
    stages = {stage for expression in expressions() for stage in re.findall(r'stage="(\w+)"', expression)}
    assert stages
    assert stages <= set(get_args(Stage))


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads((DEPLOY / "grafana/dashboards/anchor.json").read_text("utf-8"))["panels"]:
        at = panel["gridPos"]
        for cell in [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]:
            assert cell not in taken, f"{panel['title']} overlaps {taken[cell]}"
            taken[cell] = panel["title"]


@pytest.mark.parametrize("profile", ["embedded", "cpu", "gpu"])
def test_prometheus_scrapes_every_service_of_a_profile(profile: str) -> None:
    """All that a profile starts, and no others: a target that is not there would raise an alert."""
    services = rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES=f"{profile},monitoring")
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    mounted = {mount["target"]: Path(mount["source"]) for mount in services["prometheus"]["volumes"]}
    files = [file for discovery in job["file_sd_configs"] for file in discovery["files"]]
    listed = list(job["static_configs"])
    for file in files:
        listed += yaml.safe_load(mounted[file].read_text("utf-8"))
    scraped = {target: entry["labels"]["service"] for entry in listed for target in entry["targets"]}
    ours = {
        name: service
        for name, service in services.items()
        if service["image"].startswith("ai-anchor/") and service.get("restart") != "no"
    }
    ports = {name: http_port(service["environment"]) for name, service in ours.items()}
    assert scraped == {f"{name}:{port}": name for name, port in ports.items()}
    assert ("tts-fallback" in ours) is (profile == "gpu")
    for name in ours:
        assert set(services["prometheus"]["networks"]) & set(services[name]["networks"]), name


def http_port(environment: dict[str, str]) -> str:
    """The port of a service's metrics, which its settings name `..._HTTP_PORT`."""
    (port,) = (value for name, value in environment.items() if name.endswith("_HTTP_PORT"))
    return port


def test_operations_documents_every_alert() -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text("utf-8"))["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    rows = re.findall(
        r"^\| ([A-Z][A-Za-z, ]+) \|", (DEPLOY.parent / "docs/operations.md").read_text("utf-8"), re.MULTILINE
    )
    assert {name for row in rows for name in row.split(", ")} == alerts


def test_jaeger_listens_where_the_services_and_grafana_expect() -> None:
    compose = yaml.safe_load((DEPLOY.parent / "compose.yaml").read_text("utf-8"))["services"]["jaeger"]
    jaeger = yaml.safe_load((DEPLOY / "jaeger/jaeger.yaml").read_text("utf-8"))
    datasource = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/jaeger.yml").read_text("utf-8"))
    example = (DEPLOY.parent / ".env.example").read_text("utf-8")
    received_at = jaeger["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    shown_at = jaeger["extensions"]["jaeger_query"]["http"]["endpoint"].rpartition(":")[2]
    assert f"http://jaeger:{received_at} in containers" in example
    assert compose["ports"] == [f"127.0.0.1:${{JAEGER_PORT:-{shown_at}}}:{shown_at}"]
    assert datasource["datasources"][0]["url"] == f"http://jaeger:{shown_at}"
    # The services reach only this network.
    assert "mesh" in compose["networks"]
