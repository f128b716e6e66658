"""`anchor up`: starts, supervises and stops the mesh on one machine, with supervisord."""
