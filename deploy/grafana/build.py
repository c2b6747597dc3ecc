"""Writes one JSON file per dashboard beside itself, with the Grafana Foundation SDK: `python deploy/grafana/build.py`.

The JSON is committed: import it in Grafana, or provision it from a folder. tests/deploy/test_dashboards.py proves that it
is what this script writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import content  # noqa: E402
from content import Dashboard, Panel  # noqa: E402
from content_enforcement import ENFORCEMENT  # noqa: E402

DASHBOARDS = (*content.DASHBOARDS, ENFORCEMENT)

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS = 24
HEIGHTS = {"timeseries": 9, "stat": 4, "bargauge": 9}


def build(page: Dashboard) -> str:
    """Grafana's JSON of one dashboard."""
    made = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.about)
        .tags(["eastwest"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("namespace", "Namespace", "label_values(eastwest_pod_ingress_bytes_total, namespace)"))
        .with_variable(_choice("node", "Node", "label_values(eastwest_agent_info, node)"))
        .link(
            dashboard.DashboardLink("eastwest")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["eastwest"])
            .as_dropdown(True)
        )
    )
    for title, panels in page.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(_panel(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _choice(name: str, label: str, query: str) -> Any:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> Any:
    made: Any = {"timeseries": timeseries, "stat": stat, "bargauge": bargauge}[panel.kind].Panel()
    made = (
        made.title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(HEIGHTS[panel.kind])
        .span(panel.width)
        .no_value(f"No data. Needs {panel.needs}." if panel.needs else "No data.")
    )
    for i, (expr, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expr).ref_id(chr(ord("A") + i)).legend_format(legend)
        made = made.with_target(query.range() if panel.kind == "timeseries" else query.instant())
    if panel.kind == "timeseries":
        legend_options = (
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        made = made.legend(legend_options).fill_opacity(10).line_width(1).min(0)
    elif panel.kind == "stat":
        made = made.graph_mode(common.BigValueGraphMode.NONE)
    else:
        made = made.orientation(common.VizOrientation.HORIZONTAL).display_mode(common.BarGaugeDisplayMode.BASIC)
    steps = _steps(panel)
    if steps:
        thresholds = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
        made = made.thresholds(thresholds)
        if panel.kind == "timeseries":
            style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
            made = made.thresholds_style(style)
    return made


def _steps(panel: Panel) -> list[models.Threshold]:
    """From the lowest; the first has no value."""
    if panel.red_above is not None:
        return [models.Threshold(value=None, color="green"), models.Threshold(value=panel.red_above, color="red")]
    if panel.red_below is not None:
        return [models.Threshold(value=None, color="red"), models.Threshold(value=panel.red_below, color="green")]
    return []


def file_of(page: Dashboard) -> Path:
    return HERE / f"{page.uid}.json"


if __name__ == "__main__":
    for made_page in DASHBOARDS:
        file_of(made_page).write_text(build(made_page))
        print(file_of(made_page).name)
