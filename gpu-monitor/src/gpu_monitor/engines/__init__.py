"""The readers by name; only the chosen one is imported."""

READERS = {
    "nvml": "gpu_monitor.engines.nvml:NvmlReader",
    "scripted": "gpu_monitor.engines.scripted:ScriptedReader",
}
