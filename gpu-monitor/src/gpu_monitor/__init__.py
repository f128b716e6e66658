"""Monitors GPU memory: reads devices and processes, attributes memory to services, detects pressure and leaks."""
