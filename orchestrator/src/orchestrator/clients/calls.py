"""What all calls to the services have in common."""

from __future__ import annotations

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service_kit.errors import NotReady
from service_kit.rpc.channel import await_response

# A service that does not say within this time whether it is ready counts as gone.
_CHECK_DEADLINE_S = 1.0


async def require_ready(channel: aio.Channel, service: str, peer: str) -> None:
    """Raise `NotReady` or `PeerFailed` unless the service wants work now.

    A stream opens without a word from the other side; this is how to know that somebody is there.
    """
    stub = health_pb2_grpc.HealthStub(channel)
    check = stub.Check(health_pb2.HealthCheckRequest(service=service))  # pyright: ignore[reportAttributeAccessIssue]
    response = await await_response(check, peer, _CHECK_DEADLINE_S)
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReady(f"{peer}.not_ready", f"{peer} is not ready")
