"""Benchmarks that load real server processes over sockets from outside."""
