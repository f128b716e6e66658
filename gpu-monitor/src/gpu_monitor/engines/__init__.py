"""Device readers by name; only the selected one is imported."""

READERS = {
    "nvml": "gpu_monitor.engines.nvml:NvmlReader",
    "scripted": "gpu_monitor.engines.scripted:ScriptedReader",
}
