"""Worker processes that speak phrases over a pipe: the service's half, and the half inside a worker of ours."""
