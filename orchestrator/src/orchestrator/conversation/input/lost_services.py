"""Which services of the speech input are lost; each loss and recovery becomes one event of the session."""

from __future__ import annotations

from service_kit.errors import AnchorError

from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import ServiceLost, ServiceRecovered


class LostServices:
    """The lost services by name, with the error that each was lost with."""

    def __init__(self, event_queue: EventQueue) -> None:
        self._event_queue = event_queue
        self._errors: dict[str, AnchorError] = {}

    def error_of(self, service: str) -> AnchorError | None:
        """The error that a service was lost with; None while it works."""
        return self._errors.get(service)

    async def report_lost(self, service: str, error: AnchorError) -> None:
        """A service is lost; nothing happens if it was lost before."""
        if service not in self._errors:
            self._errors[service] = error
            await self._event_queue.put(ServiceLost(service, error))

    def report_late(self, service: str, error: AnchorError) -> None:
        """A service that works is late; as `report_lost`, for a timer, which cannot wait."""
        if service not in self._errors:
            self._errors[service] = error
            self._event_queue.put_nowait(ServiceLost(service, error))

    async def report_recovered(self, service: str) -> None:
        """A service works; nothing happens if it was not lost."""
        if (error := self._errors.pop(service, None)) is not None:
            await self._event_queue.put(ServiceRecovered(service, error))
