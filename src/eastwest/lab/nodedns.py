"""NodeLocal DNS as clusters have it: a server on each node at a link-local address, its packets outside conntrack.

Ours answers from the cluster's zone itself; the real one asks the cluster's DNS on a miss.
"""

from __future__ import annotations

from typing import Final

ADDRESS: Final = "169.254.20.10"
LINKS: Final = (
    f"address add {ADDRESS}/32 dev lo\n"  # the real one makes a dummy link, which this kernel family may lack
)


def rules() -> str:
    """nftables: NOTRACK for what goes to the address and for what it answers."""
    to, answers = (f"ip {end} {ADDRESS} meta l4proto {{ tcp, udp }} th {port} 53 notrack"
                   for end, port in (("daddr", "dport"), ("saddr", "sport")))  # fmt: skip
    return f"""table inet eastwest-node-dns {{
 chain arriving {{
  type filter hook prerouting priority raw
  {to}
 }}
 chain leaving {{
  type filter hook output priority raw
  {to}
  {answers}
 }}
}}
"""
