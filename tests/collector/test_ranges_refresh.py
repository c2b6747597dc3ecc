"""AWS ranges from a file or a URL: used whole or not at all, and the last good copy stays. Names of private endpoints."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eastwest.collector.ranges import aws
from eastwest.collector.ranges.aws import AwsRange
from eastwest.collector.ranges.endpoints import endpoint
from eastwest.collector.ranges.refresh import RangesError, RangesFeed
from eastwest.model.flow import ip_bytes

NEWER = "2026-12-01-00-00-00"
NEW_SERVICE = ("198.51.100.0/24", "NEW_SERVICE", "eu-west-1")


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """What Amazon publishes, from the copy in the package: every service and region there is."""
    body: dict[str, Any] = {"syncToken": "1", "createDate": NEWER, "prefixes": [], "ipv6_prefixes": []}
    for line in aws.SHIPPED.read_text().splitlines():
        if line.startswith("#"):
            continue
        service, region, many = line.split("\t")
        for prefix in many.split():
            six = ":" in prefix
            entry = {"ipv6_prefix" if six else "ip_prefix": prefix, "service": service, "region": region}
            body["ipv6_prefixes" if six else "prefixes"].append(entry)
    prefix, service, region = NEW_SERVICE
    body["prefixes"].append({"ip_prefix": prefix, "service": service, "region": region})
    return body


def service(feed: RangesFeed, ip: str) -> str | None:
    found = feed.ranges().lookup(int.from_bytes(ip_bytes(ip), "big"))
    return found.service if found else None


def bad_copies(good: dict[str, Any]) -> dict[str, str]:
    text = json.dumps(good)
    return {
        "cut short": text[: len(text) // 2],
        "one bad prefix": text.replace('"198.51.100.0/24"', '"198.51.100.0/33"'),
        "no date": json.dumps(good | {"createDate": "yesterday"}),
        "shrunk": json.dumps(good | {"prefixes": good["prefixes"][:9]}),
        "older": json.dumps(good | {"createDate": "2020-01-01-00-00-00"}),
        "a page": "<html>log in first</html>",
    }


def test_every_published_service_and_region_is_known(published: dict[str, Any]) -> None:
    made = aws.parse(json.dumps(published), "published")
    told = {entry for entry in made._labels if entry is not None}
    every = {(p["service"], p["region"]) for p in (*published["prefixes"], *published["ipv6_prefixes"])}
    assert len({s for s, _ in every}) > 20
    hidden = every - {(e.service, e.region) for e in told}
    assert {s for s, _ in hidden} <= {"AMAZON", "EC2"}, "only what is published beside a specific service is not shown"
    assert made.prefixes == aws.shipped().prefixes + 1


def test_a_file_is_followed_and_a_damaged_one_changes_nothing(tmp_path: Path, published: dict[str, Any]) -> None:
    file, kept = tmp_path / "ip-ranges.json", tmp_path / "kept"
    file.write_text(json.dumps(published))
    feed = RangesFeed(str(file), kept)
    feed.refresh()
    assert (service(feed, "198.51.100.7"), feed.used().complaint) == ("NEW_SERVICE", None)
    for what, text in bad_copies(published).items():
        file.write_text(text)
        feed.refresh()
        assert feed.used().complaint, what
        assert (service(feed, "198.51.100.7"), feed.used().prefixes) == ("NEW_SERVICE", aws.shipped().prefixes + 1)
    file.write_text(json.dumps(published | {"createDate": "2026-12-02-00-00-00"}))
    feed.refresh()
    assert feed.used().complaint is None


def test_a_file_that_is_no_good_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text("{}")
    for name in ("f.json", "missing.json"):
        with pytest.raises(RangesError, match=f"--aws-ranges .*{name}"):
            RangesFeed(str(tmp_path / name), tmp_path / "kept").start()


@dataclass
class Site:
    url: str = ""
    body: bytes = b""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/ip-ranges.json"
    yield made
    server.shutdown()
    server.server_close()


def test_a_url_may_be_away_and_the_last_good_copy_survives_a_restart(
    tmp_path: Path, site: Site, published: dict[str, Any]
) -> None:
    kept = tmp_path / "kept"
    site.status = 503
    feed = RangesFeed(site.url, kept, every_s=3600)
    feed.start()  # with the copy of the package
    assert (service(feed, "52.216.1.1"), service(feed, "198.51.100.7")) == ("S3", None)
    assert "503" in str(feed.used().complaint)
    site.status, site.body = 200, json.dumps(published).encode()
    feed.refresh()
    assert (service(feed, "198.51.100.7"), feed.used().source) == ("NEW_SERVICE", site.url)
    feed.stop()
    site.status = 404
    again = RangesFeed(site.url, kept, every_s=3600)
    again.start()
    again.stop()
    assert service(again, "198.51.100.7") == "NEW_SERVICE"
    assert again.used().source == f"{site.url} (kept)"
    assert "404" in str(again.used().complaint)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sqs.eu-west-1.amazonaws.com", ("SQS", "eu-west-1")),
        ("vpce-0a1b-c2.sqs.eu-west-1.vpce.amazonaws.com", ("SQS", "eu-west-1")),
        ("bucket.s3.us-gov-west-1.amazonaws.com.", ("S3", "us-gov-west-1")),
        ("s3.amazonaws.com", ("S3", "GLOBAL")),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", ("ECR", "eu-west-1")),
        ("shop.cluster-abc.eu-west-1.rds.amazonaws.com", ("RDS", "eu-west-1")),
        ("dynamodb.cn-north-1.amazonaws.com.cn", ("DYNAMODB", "cn-north-1")),
        ("eu-west-1.amazonaws.com", None),
        ("amazonaws.com", None),
        ("sqs.eu-west-1.amazonaws.com.evil.example", None),
        ("notamazonaws.com", None),
    ],
)
def test_names_of_endpoints(name: str, expected: tuple[str, str] | None) -> None:
    assert endpoint(name) == (AwsRange(*expected) if expected else None)
