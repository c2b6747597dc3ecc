"""Commands run as root of a container with some capabilities and no others."""

from __future__ import annotations

from eastwest.agent.privileges import Capability


def under(*capabilities: Capability) -> list[str]:
    """What to put before a command."""
    names = ",".join(["-all", *(f"+{c.name.lower()}" for c in capabilities)])
    return ["setpriv", f"--bounding-set={names}", "--inh-caps=-all", "--"]


DOCUMENTED = under(*Capability)
"""With what docs/install.md asks for."""
