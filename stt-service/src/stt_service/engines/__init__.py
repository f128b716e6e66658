"""Speech recognition engines: one module or package per engine."""
