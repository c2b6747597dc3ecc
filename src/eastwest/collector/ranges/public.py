"""Which addresses are public: anyone's on the internet, and nobody's inside a cluster.

From the IANA special-purpose registries. The documentation networks (RFC 5737, RFC 3849) count as public here: nobody
may use them privately, and examples and laboratories stand on them.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_SPECIAL: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
    )
)  # fmt: skip
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")


def is_public(address: int) -> bool:
    """Whether a 128-bit address (IPv4 mapped) is public."""
    ip = ipaddress.IPv6Address(address)
    if ip.ipv4_mapped is not None:
        v4 = ip.ipv4_mapped
        return not any(v4 in network for network in _SPECIAL)
    return ip in _GLOBAL_V6
