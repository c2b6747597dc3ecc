"""eastwest: see every connection in a Kubernetes cluster and lock it down to least privilege.

The packages are layers; imports point downward only (checked in CI):
cli > lab > api | agent | collector | enforce > query | policy > store | wire | k8s > runtime > model.
"""

__version__ = "0.1.0"
