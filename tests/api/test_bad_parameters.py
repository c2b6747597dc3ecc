"""What cannot be answered gets a 4xx that names the parameter."""

from __future__ import annotations

import pytest

from api.running import RunningServer

MAP, FLOWS, TOP, COMPLETE = "/api/v1/service-map", "/api/v1/flows", "/api/v1/top", "/api/v1/filter/complete"


@pytest.mark.parametrize(
    ("path", "params", "parameter"),
    [
        (MAP, {"window": "15"}, "window"),
        (MAP, {"window": "-5m"}, "window"),
        (MAP, {"window": "0m"}, "window"),
        (MAP, {"window": "99999d"}, "window"),
        (MAP, {"start": "yesterday"}, "start"),
        (MAP, {"start": "2026-11-22T12:00:00"}, "start"),
        (MAP, {"start": "2026-13-22T12:00:00Z"}, "start"),
        (MAP, {"end": "2026-11-22T25:00:00Z"}, "end"),
        (MAP, {"start": "2026-11-22T12:00:00Z", "end": "2026-11-22T12:00:00Z"}, "start"),
        (MAP, {"start": "2026-11-22T12:00:00Z", "window": "5m"}, "window"),
        (MAP, {"level": "namespace"}, "level"),
        (MAP, {"namespace": "No Such"}, "namespace"),
        (MAP, {"windw": "5m"}, "windw"),
        (MAP, {"filter": "dst_port=eighty"}, "filter"),
        (MAP, {"window": ["5m", "6m"]}, "window"),
        (FLOWS, {"view": "everything"}, "view"),
        (FLOWS, {"sort": "-nothing"}, "sort"),
        (FLOWS, {"sort": "pod_uid"}, "sort"),
        (FLOWS, {"limit": "0"}, "limit"),
        (FLOWS, {"limit": "many"}, "limit"),
        (FLOWS, {"limit": "99999"}, "limit"),
        (FLOWS, {"cursor": "nonsense"}, "cursor"),
        (FLOWS, {"cursor": "WzEsMl0"}, "cursor"),
        (TOP, {"by": "node"}, "by"),
        (TOP, {"metric": "flows"}, "metric"),
        ("/api/v1/coverage", {"window": "x"}, "window"),
        ("/api/v1/inventory", {"at": "now"}, "at"),
        ("/api/v1/bundle", {"window": "x"}, "window"),
        (COMPLETE, {"filter": "a", "cursor": "7"}, "cursor"),
        ("/api/v1/events", {"window": "5m"}, "window"),
    ],
)
def test_the_parameter_is_named(shop: RunningServer, path: str, params: dict[str, str], parameter: str) -> None:
    response = shop.get(path, **params)
    problem = response.json()
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["parameter"], problem["status"]) == (parameter, 400)
    assert problem["detail"]


def test_a_filter_error_points_at_the_characters(shop: RunningServer) -> None:
    problem = shop.get(FLOWS, filter="src_namespace=ui and dst_prt=80").json()
    assert (problem["position"], problem["end"]) == (21, 28)
    assert "did you mean dst_port?" in problem["detail"]


def test_a_cursor_belongs_to_its_question(shop: RunningServer) -> None:
    cursor = shop.get(FLOWS, limit=1).json()["next_cursor"]
    assert shop.get(FLOWS, limit=2, cursor=cursor).status_code == 200
    for other in ({"sort": "src_ip"}, {"view": "cluster"}, {"filter": "dst_port=8080"}):
        assert shop.get(FLOWS, cursor=cursor, **other).json()["parameter"] == "cursor"
