"""Our text, read back by other people's parsers."""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import parser as classic_parser
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.samples import Sample

from eastwest.runtime.openmetrics import Exposition, Family, Kind, TextFormat, label_text, negotiate

BYTES = Family("demo_sent_bytes", Kind.COUNTER, "bytes sent", "bytes", ("pod", "why"))
LOAD = Family("demo_load_ratio", Kind.GAUGE, 'a "ratio"\nof \\ things', "ratio")
RTT = Family("demo_rtt_seconds", Kind.HISTOGRAM, "round trips", "seconds", ("pod",), bounds=(0.001, 0.01, 1))
BUILD = Family("demo_build", Kind.INFO, "what runs", labels=("version",))
OLD = Family("ingress_bytes", Kind.UNKNOWN, "a name of somebody else")


def render(text_format: TextFormat) -> str:
    out = Exposition(text_format)
    out.write(
        BYTES, [label_text(BYTES.labels, v) for v in (("a", "x"), ("b", ""))], np.array([7, 2**63], np.uint64), [1.5, 2]
    )
    out.write(LOAD, [""], [0.25])
    out.histogram(RTT, ['pod="a"'], np.array([[1, 2, 0, 4]]), [3.5], np.array([1.5]))
    out.write(BUILD, ['version="1"'], [1])
    out.write(OLD, [""], [3])
    return out.finish().decode()


def read(text: str) -> dict[str, list[Sample]]:
    return {f.name: list(f.samples) for f in openmetrics_parser.text_string_to_metric_families(text)}


def test_openmetrics_is_read_back() -> None:
    families = {f.name: f for f in openmetrics_parser.text_string_to_metric_families(render(TextFormat.OPENMETRICS))}
    sent = families["demo_sent_bytes"]
    assert (sent.type, sent.unit, sent.documentation) == ("counter", "bytes", "bytes sent")
    assert [(s.name, s.labels, s.value) for s in sent.samples] == [
        ("demo_sent_bytes_total", {"pod": "a", "why": "x"}, 7),
        ("demo_sent_bytes_created", {"pod": "a", "why": "x"}, 1.5),
        ("demo_sent_bytes_total", {"pod": "b"}, 2**63),
        ("demo_sent_bytes_created", {"pod": "b"}, 2),
    ]
    assert families["demo_load_ratio"].documentation == 'a "ratio"\nof \\ things'
    buckets = {s.labels.get("le", s.name): s.value for s in families["demo_rtt_seconds"].samples}
    assert buckets == {
        "0.001": 1, "0.01": 3, "1.0": 3, "+Inf": 7,
        "demo_rtt_seconds_count": 7, "demo_rtt_seconds_sum": 3.5, "demo_rtt_seconds_created": 1.5,
    }  # fmt: skip
    assert families["demo_build"].type == "info"
    assert families["ingress_bytes"].type == "unknown"


def test_classic_is_read_back() -> None:
    text = render(TextFormat.CLASSIC)
    assert "_created" not in text
    assert "# EOF" not in text
    families = {f.name: f for f in classic_parser.text_string_to_metric_families(text)}
    assert families["demo_sent_bytes"].type == "counter"
    assert families["demo_rtt_seconds"].type == "histogram"
    assert families["demo_build_info"].type == "gauge"
    assert [s.name for s in families["demo_sent_bytes"].samples] == ["demo_sent_bytes_total"] * 2


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_finds_nothing_to_say() -> None:
    text = render(TextFormat.CLASSIC)
    assert subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True).stdout == ""


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_label_value_and_help_survive(value: str, help_text: str) -> None:
    value = value.encode("utf-8", "replace").decode().replace("\r", "")
    help_text = help_text.encode("utf-8", "replace").decode().replace("\r", "")
    out = Exposition()
    family = Family("x", Kind.GAUGE, help_text, labels=("v",))
    out.write(family, [label_text(("v",), (value,))], [1])
    [read_back] = openmetrics_parser.text_string_to_metric_families(out.finish().decode())
    assert read_back.samples[0].labels.get("v", "") == value
    assert read_back.documentation.strip() == help_text.strip()  # the reader drops blanks at the ends


@settings(deadline=None)
@given(st.lists(st.floats() | st.integers(0, 2**64 - 1), min_size=1))
def test_any_value_survives(values: list[float]) -> None:
    out = Exposition()
    out.write(Family("x", Kind.GAUGE, "x", labels=("i",)), [f'i="{i}"' for i in range(len(values))], values)
    for sample, value in zip(read(out.finish().decode())["x"], values, strict=True):
        assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def test_a_family_without_rows_is_not_mentioned() -> None:
    out = Exposition()
    out.write(LOAD, [], [])
    out.histogram(RTT, [], np.zeros((0, 4)), [])
    assert out.finish() == b"# EOF\n"


def test_what_cannot_be_right_is_refused() -> None:
    out = Exposition()
    out.write(LOAD, [""], [1])
    with pytest.raises(ValueError, match="once"):
        out.write(LOAD, [""], [1])
    with pytest.raises(ValueError, match="shape"):
        out.histogram(RTT, [""], np.zeros((1, 3)), [0])
    with pytest.raises(ValueError, match="unit"):
        Family("a_total", Kind.COUNTER, "x", "bytes")
    with pytest.raises(ValueError, match="bounds"):
        Family("a", Kind.HISTOGRAM, "x", bounds=(2, 1))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, TextFormat.OPENMETRICS),
        ("*/*", TextFormat.OPENMETRICS),
        ("text/plain", TextFormat.CLASSIC),
        ("text/plain;version=0.0.4", TextFormat.CLASSIC),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TextFormat.CLASSIC),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TextFormat.OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; q=0.2, text/plain; q=0.9", TextFormat.CLASSIC),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", TextFormat.CLASSIC),
        ("application/json", TextFormat.OPENMETRICS),
        ("text/plain;q=nonsense", TextFormat.OPENMETRICS),
    ],
)
def test_the_scraper_chooses_the_format(accept: str | None, expected: TextFormat) -> None:
    assert negotiate(accept) is expected


def test_cost_of_a_full_node(capsys: pytest.CaptureFixture[str]) -> None:
    """110 pods, 40 counters with creation times and 2 histograms: the time is printed, not asserted."""
    pods = 110
    names = ("namespace", "pod", "pod_uid")
    labels: Sequence[str] = [label_text(names, ("shop", f"cart-{i}", f"0000-{i}")) for i in range(pods)]
    families = [Family(f"m{i}", Kind.COUNTER, "x", labels=names) for i in range(40)]
    histograms = [Family(f"h{i}", Kind.HISTOGRAM, "x", labels=names, bounds=tuple(range(16))) for i in range(2)]
    values, counts = np.arange(pods, dtype=np.uint64), np.ones((pods, 17), np.uint64)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        out = Exposition()
        for family in families:
            out.write(family, labels, values, np.full(pods, 1.0))
        for family in histograms:
            out.histogram(family, labels, counts, values, np.full(pods, 1.0))
        size = len(out.finish())
        took.append(time.perf_counter() - start)
    assert size > 100_000
    with capsys.disabled():
        print(f"\n110 pods, 42 families, {size / 1e3:.0f} kB: {min(took) * 1e3:.1f} ms (best of 5)")
