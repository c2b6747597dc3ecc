"""The committed JSON is what the script makes, and Grafana's own types can read it."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from deploy.pages import ROOT, dashboards, load


def test_the_script_makes_what_is_committed() -> None:
    build = load(ROOT / "deploy" / "grafana" / "build.py")
    made = {build.file_of(page).name: json.loads(build.build(page)) for page in build.DASHBOARDS}
    assert made == dashboards()
    assert len(made) == 7


def test_grafanas_types_read_it_back() -> None:
    register_default_plugins()
    for page in dashboards().values():
        read = models.Dashboard.from_json(page)
        assert json.loads(json.dumps(read, cls=JSONEncoder)) == page
        assert read.uid == page["uid"]


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    for name, page in dashboards().items():
        cells: set[tuple[int, int]] = set()
        for panel in page["panels"]:
            at = panel["gridPos"]
            own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert at["x"] + at["w"] <= 24
            assert not own & cells, (name, panel["title"])
            cells |= own
