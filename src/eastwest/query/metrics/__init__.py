"""Counters of workload pairs for the metrics endpoint: `pairs` holds them all, `traffic` publishes them."""
