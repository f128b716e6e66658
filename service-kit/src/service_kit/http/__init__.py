"""The HTTP side of a service: routes, server, and limits of a connection."""
