"""The cluster's DNS: message format, zone, server and the stub resolver that the workloads use."""
