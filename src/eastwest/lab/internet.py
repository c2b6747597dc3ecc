"""The hosts of the lab's internet: names and addresses, and who really owns those addresses.

Taken from AWS's ip-ranges.json of 2026-08-22: each address lies inside a prefix published for the service and region
that its comment names. The others lie in no AWS prefix. Nothing leaves the machine: these addresses exist only in a
network namespace of the lab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Host:
    """One internet host. It serves TCP 80 and 443 and UDP 443 on every address."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]


HOSTS: Final[tuple[Host, ...]] = (
    # S3 us-east-1: 52.216.0.0/15, 3.5.0.0/19, 2600:1fa0:8000::/39
    Host(("s3.us-east-1.amazonaws.com", "s3.amazonaws.com"), ("52.217.10.14", "3.5.0.20", "2600:1fa0:8000::35")),
    Host(("photos.s3.us-east-1.amazonaws.com",), ("52.216.8.21", "2600:1fa0:8000::36")),
    # S3 eu-central-1: 3.5.136.0/22
    Host(("s3.eu-central-1.amazonaws.com",), ("3.5.136.10",)),
    # DYNAMODB us-east-1: 52.94.0.0/22, 52.119.224.0/21 (no IPv6 prefix is published)
    Host(("dynamodb.us-east-1.amazonaws.com",), ("52.94.2.72", "52.119.226.10")),
    # EC2 us-east-1: 3.80.0.0/12, 2600:1f19:8000::/36
    Host(("ec2-3-80-10-20.compute-1.amazonaws.com",), ("3.80.10.20", "2600:1f19:8000::5")),
    # AMAZON only, us-east-1: 54.239.16.0/20
    Host(("sts.us-east-1.amazonaws.com",), ("54.239.28.85",)),
    # Outside AWS: documentation ranges (RFC 5737, RFC 3849) and one that belongs to somebody else
    Host(("api.stripe.example",), ("198.51.100.80", "2001:db8:51::80")),
    Host(("telemetry.vendor.example",), ("198.51.100.81", "2001:db8:51::81")),
    Host(("dns.google",), ("8.8.8.8", "2001:4860:4860::8888")),
)
CLIENTS_V4: Final = ("198.51.100.10", "198.51.100.11", "198.51.100.12")
CLIENTS_V6: Final = ("2001:db8:51::10", "2001:db8:51::11", "2001:db8:51::12")
PORTS: Final = ((80, "TCP"), (443, "TCP"), (443, "UDP"))


def names() -> dict[str, list[str]]:
    """Every name (lower case, no trailing dot) and its addresses, IPv4 and IPv6."""
    return {name: list(host.addresses) for host in HOSTS for name in host.names}


def addresses() -> list[str]:
    """Every address that the internet's namespace must answer for."""
    return [a for host in HOSTS for a in host.addresses] + [*CLIENTS_V4, *CLIENTS_V6]
