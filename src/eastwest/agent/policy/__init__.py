"""Enforcement on the node: a plan comes, is put into the kernel's tables, and told. Knows tables, no policies."""
