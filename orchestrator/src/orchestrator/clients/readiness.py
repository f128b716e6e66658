"""The readiness check in front of streaming calls to other services."""

from __future__ import annotations

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service_kit.errors import NotReady
from service_kit.rpc.channel import await_response

# A service that does not answer the health check within this time counts as unreachable.
_CHECK_DEADLINE_S = 1.0


async def require_ready(channel: aio.Channel, service: str, peer: str) -> None:
    """Raise `NotReady` or `PeerFailed` unless the service reports SERVING.

    gRPC opens a stream without a response from the server, so opening alone does not show that it is there.
    """
    stub = health_pb2_grpc.HealthStub(channel)
    check = stub.Check(health_pb2.HealthCheckRequest(service=service))  # pyright: ignore[reportAttributeAccessIssue]
    response = await await_response(check, peer, _CHECK_DEADLINE_S)
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReady(f"{peer}.not_ready", f"{peer} is not ready")
