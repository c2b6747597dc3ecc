"""Published address ranges: longest match, the specific service over AMAZON, and the shipped copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.collector.ranges import aws
from eastwest.model.flow import ip_bytes


def number(ip: str) -> int:
    return int.from_bytes(ip_bytes(ip), "big")


def service(ranges: aws.AwsRanges, ip: str) -> str | None:
    found = ranges.lookup(number(ip))
    return found.service if found else None


def test_specific_services_win_over_broad_ones() -> None:
    made = aws.build(
        [
            ("10.0.0.0/8", "AMAZON", "r"),
            ("10.1.0.0/16", "S3", "r"),
            ("10.1.2.0/24", "AMAZON", "r"),
            ("10.1.3.0/24", "EC2", "r"),
            ("10.1.4.0/24", "EC2", "r"),
            ("10.1.4.0/24", "DYNAMODB", "r"),
            ("2600::/32", "EC2", "r"),
        ],
        "2026-01-01-00-00-00",
        "1",
    )
    expected = {"9.255.255.255": None, "10.0.0.0": "AMAZON", "10.1.0.0": "S3", "10.1.2.9": "S3", "10.1.3.9": "EC2",
                "10.1.4.9": "DYNAMODB", "10.255.255.255": "AMAZON", "11.0.0.0": None, "2600::1": "EC2", "2601::": None}  # fmt: skip
    assert {ip: service(made, ip) for ip in expected} == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(24, 32), st.sampled_from(["AMAZON", "EC2", "S3", "EBS"])),
        max_size=12,
    )
)
def test_the_index_answers_as_a_plain_search_does(prefixes: list[tuple[int, int, str]]) -> None:
    import ipaddress

    nets = [(ipaddress.ip_network(f"10.0.0.{a}/{length}", strict=False), s) for a, length, s in prefixes]
    made = aws.build([(str(net), s, "r") for net, s in nets], "2026-01-01-00-00-00", "1")
    for last in range(0, 256, 3):
        ip = ipaddress.ip_address(f"10.0.0.{last}")
        covering = [(s != "AMAZON", net.prefixlen, s != "EC2", s) for net, s in nets if ip in net]
        assert service(made, str(ip)) == (max(covering)[3] if covering else None)


def test_the_shipped_copy_states_its_date_and_source() -> None:
    assert aws.shipped().created == "2026-08-22-15-17-05"
    assert aws.shipped().sync_token == "1787411825"
    assert "ip-ranges.amazonaws.com" in aws.SHIPPED.read_text().splitlines()[0]
    assert service(aws.shipped(), "3.5.140.1") == "S3"


def test_both_forms_are_read_alike(tmp_path: Path) -> None:
    body = {
        "syncToken": "7",
        "createDate": "2026-01-02-03-04-05",
        "prefixes": [{"ip_prefix": "10.0.0.0/8", "region": "r", "service": "S3", "network_border_group": "r"}],
        "ipv6_prefixes": [
            {"ipv6_prefix": "2600::/32", "region": "GLOBAL", "service": "EC2", "network_border_group": "r"}
        ],
    }
    given_json, made = tmp_path / "a.json", tmp_path / "a.tsv"
    given_json.write_text(json.dumps(body))
    made.write_text(aws.compact(given_json))
    assert aws.load(given_json) == aws.load(made)


@pytest.mark.parametrize("text", ["", "{}", "# createDate: a\nx\ty\tnot-a-prefix\n"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    for name in ("a.json", "a.tsv"):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ValueError, match=name):
            aws.load(path)
