"""DNS messages made by an independent implementation (dnslib), and sightings of them."""

from __future__ import annotations

import dnslib

from eastwest.agent.dns.transactions import Sighting
from eastwest.model.flow import ip_bytes


def query(name: str = "shop.example", qtype: str = "A", ident: int = 7) -> bytes:
    record = dnslib.DNSRecord.question(name, qtype)
    record.header.id = ident
    return bytes(record.pack())


def answer(
    name: str = "shop.example",
    *records: tuple[str, str, str],
    qtype: str = "A",
    ident: int = 7,
    rcode: int = 0,
    ttl: int = 30,
) -> bytes:
    """`records`: (owner, type, data) of the answer section."""
    reply = dnslib.DNSRecord.question(name, qtype).reply()
    reply.header.id = ident
    reply.header.rcode = rcode
    for owner, type_, data in records:
        rdata = getattr(dnslib, type_)(data)
        reply.add_answer(dnslib.RR(owner, getattr(dnslib.QTYPE, type_), rdata=rdata, ttl=ttl))
    return bytes(reply.pack())


def sighting(
    payload: bytes,
    *,
    now_ns: int = 1_000,
    to_server: bool = True,
    from_pod: bool = True,
    ifindex: int = 5,
    client: str = "10.1.0.9",
    client_port: int = 40_000,
    server: str = "10.96.0.10",
    tcp: bool = False,
    cut: bool = False,
) -> Sighting:
    """A message between client and server; `from_pod` says that the interface's pod sent it."""
    c, s = ip_bytes(client), ip_bytes(server)
    return Sighting(
        now_ns=now_ns,
        ifindex=ifindex,
        src=c if to_server else s,
        src_port=client_port if to_server else 53,
        dst=s if to_server else c,
        dst_port=53 if to_server else client_port,
        from_pod=from_pod,
        to_server=to_server,
        tcp=tcp,
        cut=cut,
        payload=payload,
    )
