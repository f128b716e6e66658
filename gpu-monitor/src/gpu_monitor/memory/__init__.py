"""GPU memory by service, from the driver, self-reports and the plan."""
