"""`eastwest enforce` against a real server: what people read, the JSON behind it, and words that cannot be meant."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from api.test_enforcement import Site, newest
from eastwest.cli.main import main
from enforce.factories_cluster import policy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("enforce")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASTWEST_RUN_DIR", str(folder / "run"))
        found = Site(folder)
        at = found.put(policy("db", "db", ("api", 5432)))
        with found.server:
            patch.setenv("EASTWEST_SERVER", found.server.url)
            found.until(at)
            yield found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["enforce", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_set_status_and_plan(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "set", "shop", "enforce", "--direction", "ingress")
    assert (code, out) == (0, "NAMESPACE\tDIRECTION\tMODE\nshop\tingress\tenforce\n")
    code, out, _ = run(capsys, "status", "--by", "policy")
    assert (code, out.splitlines()[1]) == (1, "shop/db\tNetworkPolicy\tin force on 0 of 1 pods; waiting for node-b")
    for node in ("node-a", "node-b"):
        site.tell(newest(site, node))
    code, out, _ = run(capsys, "status")
    assert code == 0, out
    assert "shop\tingress\tenforce\t3\t3" in out
    assert "shop\tegress\toff\t3\t–" in out
    assert "shop/db\tNetworkPolicy\tin force on 1 of 1 pods" in out
    assert "# default posture: cluster allow" in out
    code, out, _ = run(capsys, "plan", "--node", "node-b", "--pod", "shop/db")
    assert code == 0
    assert out.splitlines()[3:] == [
        "shop/db ingress: enforce",
        "  from shop/api",
        "    TCP 5432: allowed by NetworkPolicy shop/db ingress[0]",
        "    everything else: denied by NetworkPolicy shop/db ingress isolation",
        "  from everybody else",
        "    everything: denied by NetworkPolicy shop/db ingress isolation",
        "shop/db egress: off",
    ]
    assert run(capsys, "plan", "--node", "node-b", "--diff")[1].count("\n") == 2, "nothing differs"
    code, out, _ = run(capsys, "set", "shop", "audit", "--node", "node-b", "--direction", "ingress")
    assert "shop\tingress\tenforce (node-b: audit)" in out
    code, out, _ = run(capsys, "plan", "--node", "node-b", "--diff", "--json")
    assert {line.split()[2] for line in json.loads(out)["gone"]} == {"enforce"}
    code, out, _ = run(capsys, "status", "--by", "pod")
    assert code == 1
    assert out.count("is not in force there yet") == 2
    assert run(capsys, "status", "--json")[1].startswith('{"inventory_ns"')


def test_postures(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "posture", "deny")[1].splitlines()[1] == "cluster\t\tdeny"
    assert run(capsys, "posture", "nodes", "pool=blue", "allow")[1].splitlines()[2] == "nodes\tpool=blue\tallow"
    assert run(capsys, "posture", "nodes", "pool=blue", "inherit")[1].count("\n") == 2
    assert run(capsys, "posture", "cluster", "allow")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("set", "shpo", "audit"), "did you mean shop?"),
        (("set", "shop", "audit", "--node", "node-z"), "no node 'node-z'"),
        (("posture", "maybe"), "expected allow, deny or inherit"),
        (("posture", "pods", "x", "deny"), "expected cluster, namespace NAME or nodes GROUP"),
        (("posture", "nodes", "a,,b", "deny"), "expected names (node-a,node-b)"),
        (("plan", "--node", "node-z"), "did you mean node-"),
        (("plan", "--node", "node-a", "--pod", "shop/db"), "no pod 'shop/db' in the plan of node-a"),
        (("status", "--server", "http://127.0.0.1:9"), "no server at"),
    ],
)
def test_what_cannot_be_done_is_said(
    site: Site, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2
    assert says in err
