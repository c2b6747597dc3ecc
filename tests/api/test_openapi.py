"""The description that the console's types are generated from."""

from eastwest.api.app import create_app


def test_every_route_is_described_with_its_answer() -> None:
    paths = create_app().openapi()["paths"]
    assert set(paths) == {
        "/healthz",
        "/api/v1/session",
        "/api/v1/service-map",
        "/api/v1/flows",
        "/api/v1/top",
        "/api/v1/costs",
        "/api/v1/coverage",
        "/api/v1/inventory",
        "/api/v1/filter/complete",
        "/api/v1/bundle",
        "/api/v1/events",
        "/api/v1/overview",
        "/api/v1/history",
        "/api/v1/policies",
        "/api/v1/policies/effect",
        "/api/v1/policies/download",
        "/api/v1/enforcement",
        "/api/v1/enforcement/namespaces/{namespace}",
        "/api/v1/enforcement/posture",
        "/api/v1/enforcement/plan",
        "/api/v1/rollouts",
        "/api/v1/rollouts/current",
        "/api/v1/rollouts/current/pause",
        "/api/v1/rollouts/current/resume",
        "/api/v1/rollouts/current/abort",
    }
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation["operationId"], f"{method} {path}"
            assert operation["description"], f"{method} {path}"
            assert "200" in operation["responses"], f"{method} {path}"
