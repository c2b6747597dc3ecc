"""`eastwest lab`: start, change, probe and stop a cluster in this machine; `conformance` runs the policy engine's cases there."""

from eastwest.cli.lab.command import register, run

__all__ = ["register", "run"]
