"""The body of `/health`."""

from service_kit.engines.info import EngineInfo
from service_kit.health import Health


def test_the_details_of_a_service_are_read_at_every_request():
    health = Health("orchestrator", EngineInfo("ollama", "mistral", "1"))
    stages = iter(["loading", "loaded"])
    plain = health.describe()
    health.details = lambda: {"language_model": next(stages)}
    assert [health.describe()["language_model"] for _ in range(2)] == ["loading", "loaded"]
    assert plain["status"] == "loading"
