"""Packets the kernel dropped in this node's namespaces: by whom, from whom to whom, and the kernel's own reason."""
