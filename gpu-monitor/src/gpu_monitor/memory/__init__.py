"""GPU memory by service: the driver's figures, the services' self-reports, and the plan."""
