"""A window out as an evidence bundle, and back in on another server."""

from __future__ import annotations

from pathlib import Path

from api.running import RunningServer
from eastwest.wire.bundle import read


def test_a_recording_answers_as_the_server_it_came_from(shop: RunningServer, tmp_path: Path) -> None:
    bundle = tmp_path / "shop.zip"
    response = shop.get("/api/v1/bundle")
    assert response.headers["content-type"] == "application/zip"
    bundle.write_bytes(response.content)
    played = read(bundle)
    assert played.flows.num_rows == 6
    assert played.cluster == "c1"
    with RunningServer(tmp_path, "--bundle", str(bundle)) as server:
        original, recorded = (s.get("/api/v1/service-map").json() for s in (shop, server))
        assert recorded["edges"] == original["edges"]
        assert recorded["nodes"] == original["nodes"]
        assert recorded["coverage"]["hook_bytes"] == original["coverage"]["hook_bytes"]
        again = tmp_path / "again.zip"
        again.write_bytes(server.get("/api/v1/bundle").content)
        told, kept = read(again).coverage, played.coverage
        assert told is not None
        assert kept is not None
        assert told["nodes"] == kept["nodes"]
        window = {"start_ns": played.window_start_ns, "end_ns": played.window_end_ns, "recorded": True}
        assert recorded["window"] == window
        assert len(server.get("/api/v1/service-map", window="10s").json()["edges"]) == 0
        assert len(server.get("/api/v1/inventory").json()["pods"]) == 3
        assert server.get("/healthz").json()["recorded"]
        again = server.get("/api/v1/bundle").content
        (tmp_path / "again.zip").write_bytes(again)
        assert read(tmp_path / "again.zip").flows.equals(played.flows)


def test_a_damaged_bundle_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"nothing")
    server = RunningServer(tmp_path, "--bundle", str(tmp_path / "x.zip"))
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(60) == 2
    assert "x.zip" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


def test_flows_with_the_required_columns_only_are_named_from_the_cluster_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import yaml

    from api.conftest import OBJECTS
    from api.factories_batches import AT
    from eastwest.model.flow import ip_bytes
    from eastwest.wire.bundle import Bundle, write

    flows = pa.table(
        {
            "src_ip": pa.array([ip_bytes("10.0.0.1")], pa.binary(16)),
            "dst_ip": pa.array([ip_bytes("10.0.1.1")], pa.binary(16)),
            "protocol": pa.array([6], pa.uint8()),
            "dst_port": pa.array([8080], pa.uint16()),
            "first_seen_ns": pa.array([AT]),
            "last_seen_ns": pa.array([AT + 5]),
            "connections": pa.array([3], pa.uint64()),
            "bytes_forward": pa.array([1], pa.uint64()),
            "bytes_reverse": pa.array([2], pa.uint64()),
        }
    )
    texts = {"all.yaml": yaml.safe_dump_all(OBJECTS)}
    write(tmp_path / "bundle", Bundle(AT, AT + 1000, flows, texts))
    with RunningServer(tmp_path, "--bundle", str(tmp_path / "bundle")) as server:
        (edge,) = server.get("/api/v1/service-map").json()["edges"]
        assert (edge["source"], edge["target"]) == ("workload:ui/Deployment/ui", "workload:carts/Deployment/carts")
        assert (edge["connections"], edge["reporter"], edge["role_source"]) == (3, "client", "unknown")
