"""A cluster in one machine: nodes, pods, Services, DNS, load and faults with real packets. See `runtime` for its use."""
