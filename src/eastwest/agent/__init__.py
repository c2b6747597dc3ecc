"""One node: what its kernel counts becomes batches, and what the server plans becomes the kernel's tables."""
