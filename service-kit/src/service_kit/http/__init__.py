"""The HTTP side of a service: health, metrics, and the limits of its server."""
