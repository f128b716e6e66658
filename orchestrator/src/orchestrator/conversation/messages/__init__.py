"""Messages of `anchor.session.v1` as dataclasses."""
