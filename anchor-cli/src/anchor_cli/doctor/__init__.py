"""`anchor doctor`: checks of the machine and the project, each with a suggested fix."""
