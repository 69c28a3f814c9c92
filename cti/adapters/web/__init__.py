"""HTTP, websocket, pages. `make_app(engine, store, settings, hub)`; `Hub.push` for what the engine says."""

from cti.adapters.web.app import make_app
from cti.adapters.web.hub import Hub
from cti.adapters.web.ports import Settings

__all__ = ["Hub", "Settings", "make_app"]
