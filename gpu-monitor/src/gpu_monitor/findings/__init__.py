"""What the samples show: pressure, leaks, coming exhaustion."""
