"""Turn detection: when someone speaks, when they stop, whether they are done."""
