"""The only code that knows Kubernetes objects: read from manifests or watched, written, and as of any moment."""
