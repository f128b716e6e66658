"""What `/health` tells."""

from service_kit.engines.info import EngineInfo
from service_kit.health import Health


def test_a_service_may_tell_more_of_itself_and_tells_it_as_it_is_when_asked():
    health = Health("orchestrator", EngineInfo("ollama", "mistral", "1"))
    stages = iter(["loading", "loaded"])
    plain = health.describe()
    health.details = lambda: {"language_model": next(stages)}
    assert [health.describe()["language_model"] for _ in range(2)] == ["loading", "loaded"]
    assert plain["status"] == "loading"
