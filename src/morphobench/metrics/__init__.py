"""Metrics of the benchmark, one file each."""
