"""A policy judges an attempt: pure, total, deterministic. No sockets, files, clocks or environment."""
