"""Declared intent: sentences, and the three columns declared, permitted, observed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.cli.main import main
from eastwest.model.policy import IpBlock, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule
from eastwest.policy import Engine
from eastwest.policy.ports import ports_of
from eastwest.policy.verify.intent import IntentError, Kind, internet, parse_intent
from eastwest.policy.verify.verify import Checked, Verification, verify
from policy.factories_evidence import Shop, all_policies
from policy.shop import DENY, SHOP, UI_TO_ORDERS


def shop() -> Shop:
    return Shop().run("ui").run("orders").run("db").run("proxy", host_network=True, node="n1", ips=("192.168.0.1",))


def check(sentence: str, setting: Shop, *policies: NetworkPolicy, observed: bool = False) -> Checked:
    result = verify(
        Engine(setting.cluster(policies)), [parse_intent(sentence, "shop")], setting.evidence() if observed else None
    )
    return result.checked[0]


def talking() -> Shop:
    return shop().talk("ui", "orders", 8080).talk("orders", "db", 5432)


def locked() -> tuple[NetworkPolicy, ...]:
    return all_policies(talking().generate())


@pytest.mark.parametrize(
    ("text", "kind", "ports"),
    [
        ("ui may reach orders on 8080", Kind.MAY, ports_of("TCP", 8080)),
        ("ui may reach orders", Kind.MAY, None),
        (
            "only orders and ui may reach db on 53/UDP, 8000-8100.",
            Kind.ONLY,
            ports_of("UDP", 53) | ports_of("TCP", 8000, 8100),
        ),
        ("shop/* must not reach the internet", Kind.MUST_NOT, None),
        ("*/* may not reach 169.254.169.254 on port 80", Kind.MUST_NOT, ports_of("TCP", 80)),
    ],
)
def test_sentences(text: str, kind: Kind, ports: object) -> None:
    intent = parse_intent(text, "shop")
    assert (intent.kind, intent.ports) == (kind, ports)


@pytest.mark.parametrize(
    "text",
    ["", "ui reaches orders", "only ui must not reach db", "ui may reach orders on http", "ui may reach orders on 70000",
     "ui may reach", "ui may reach orders on 80/ICMP", "u_i may reach orders"],
)  # fmt: skip
def test_what_means_nothing(text: str) -> None:
    with pytest.raises(IntentError):
        parse_intent(text, "shop")


@given(st.text(max_size=60) | st.text("abui may reach only not 0123/*.,-", max_size=80))
def test_any_text_is_a_sentence_or_an_error(text: str) -> None:
    try:
        parse_intent(text, "shop")
    except IntentError:
        return


def test_an_end_without_namespace_needs_one() -> None:
    with pytest.raises(IntentError, match="no namespace"):
        parse_intent("ui may reach shop/orders")


def test_may() -> None:
    assert check("ui may reach orders on 8080", shop(), *locked()).ok
    broken = check("ui may reach db on 5432", shop(), *locked())
    assert broken.problems == ("shop/ui[Deployment] may not reach shop/db[Deployment] on TCP 5432",)
    assert not check("ui may reach orders on 8080, 9090", shop(), *locked()).ok
    assert check("ui may reach orders", shop(), *locked()).ok


def test_only() -> None:
    assert check("only orders may reach db on 5432", shop(), *locked()).ok
    broken = check("only orders may reach db on 5432", shop())
    assert broken.problems[0] == "shop/ui[Deployment] may reach shop/db[Deployment] on TCP 5432"
    assert "is reached from" in broken.problems[1]
    assert not any("proxy" in problem for problem in broken.problems)


def test_must_not_reach_the_internet() -> None:
    sentence = "orders must not reach the internet"
    assert check(sentence, shop(), *locked()).ok
    assert not check(sentence, shop()).ok
    inside = NetworkPolicy(
        "shop", "in", LabelSelector(), ("Egress",),
        egress=(NetworkPolicyRule((NetworkPolicyPeer(ip_block=IpBlock("10.0.0.0/8")),)),),
    )  # fmt: skip
    assert check(sentence, shop(), inside).ok
    some = NetworkPolicy(
        "shop", "out", LabelSelector(), ("Egress",),
        egress=(NetworkPolicyRule((NetworkPolicyPeer(ip_block=IpBlock("52.0.0.0/8")),)),),
    )  # fmt: skip
    assert check(sentence, shop(), inside, some).problems == (
        "shop/orders[Deployment] may reach 52.0.0.0/8 on all ports, all protocols",
    )
    assert check("ui may reach the internet on 443", shop(), some).ok
    assert not check("ui may reach 8.8.8.8 on 443", shop(), some).ok


def test_what_was_observed_breaks_an_intent_too() -> None:
    outside = shop().talk("orders", "52.0.0.1", 443, connections=4)
    broken = check("orders must not reach the internet", outside, *locked(), observed=True)
    assert broken.observed == 4
    assert broken.problems == ("4 connections were observed",)
    attempt = shop().talk("orders", "52.0.0.1", 443, established=False)
    assert check("orders must not reach the internet", attempt, *locked(), observed=True).ok
    other = shop().talk("ui", "db", 5432, connections=2)
    seen = check("only orders may reach db", other, *locked(), observed=True)
    assert seen.problems == ("2 connections were observed from shop/ui[Deployment]",)


def test_an_end_that_matches_nothing_is_not_ok() -> None:
    broken = check("carts may reach db", shop())
    assert not broken.ok
    assert broken.unknown == ("no workload matches 'carts'",)


def edges(result: Verification) -> dict[tuple[str, str], str]:
    return {(e.src.split("/")[1].split("[")[0], e.dst.split("/")[1].split("[")[0]): e.state for e in result.edges}


def test_the_three_columns() -> None:
    setting = talking().talk("ui", "db", 5432)
    intents = [parse_intent(s, "shop") for s in ("ui may reach orders on 8080", "db may reach ui on 1")]
    result = verify(Engine(setting.cluster(locked())), intents, setting.evidence())
    assert edges(result) == {
        ("ui", "orders"): "agrees",
        ("orders", "db"): "undeclared",
        ("ui", "db"): "denied but observed",
        ("db", "ui"): "blocked",
    }


def test_the_internet_is_what_nobody_owns() -> None:
    addresses = internet()
    for inside in ("10.1.2.3", "192.168.1.1", "169.254.169.254", "fd00::1", "127.0.0.1", "100.64.0.1", "224.0.0.1"):
        one = parse_intent(f"a must not reach {inside}", "x").dst.addresses
        assert one - addresses == one
    for outside in ("8.8.8.8", "52.0.0.1", "2600::1"):
        assert not parse_intent(f"a must not reach {outside}", "x").dst.addresses - addresses


INTENT = """\
# what we promise
namespace: shop
intents:
- ui may reach orders on 8080
- {say: only orders may reach orders-postgresql, name: DB-1}
- >-
  ui must not
  reach the internet
"""


def files(tmp_path: Path, *manifests: str) -> tuple[Path, Path]:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/all.yaml").write_text("---".join(manifests))
    (tmp_path / "intent.yaml").write_text(INTENT)
    return tmp_path / "intent.yaml", tmp_path / "m"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    intent, folder = files(tmp_path, SHOP, DENY, UI_TO_ORDERS)
    junit, sarif = tmp_path / "o.xml", tmp_path / "o.sarif"
    args = ["policy", "verify", "--intent", str(intent), str(folder), "--junit", str(junit), "--sarif", str(sarif)]
    assert main([*args, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(i["name"], i["ok"], i["line"]) for i in answer["intents"]] == [
        ("ui may reach orders on 8080", True, 4), ("DB-1", True, 5), ("ui must not reach the internet", True, 6),
    ]  # fmt: skip
    assert json.loads(sarif.read_text())["runs"][0]["results"] == []

    (folder / "all.yaml").write_text(SHOP)
    assert main(args) == 1
    assert "BROKEN DB-1" in capsys.readouterr().out
    cases = ElementTree.parse(junit).getroot().findall(".//testcase")
    assert [case.find("failure") is not None for case in cases] == [False, True, True]
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    assert [r["locations"][0]["physicalLocation"]["region"]["startLine"] for r in results] == [5, 6]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("intents:\n- ui may reach orders\n", "intent.yaml:2: intents[0]: 'ui': no namespace"),
        ("namespace: a\nintents:\n- x may reach y\n- [1]\n", "intent.yaml:4: intents[1]: must be a sentence"),
        ("a: [", "not YAML"),
        ("[]", "intents: must be a list"),
        ("", "intents: must be a list"),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    intent, folder = files(tmp_path, SHOP)
    intent.write_text(text)
    assert main(["policy", "verify", "--intent", str(intent), str(folder)]) == 2
    assert words in capsys.readouterr().err


def test_the_documented_example_is_read() -> None:
    from eastwest.cli.policy.verify import read_intents

    example = Path(__file__).parents[2] / "docs/examples/intent.yaml"
    assert [i.kind for i in read_intents(example)] == [
        Kind.MAY, Kind.MAY, Kind.ONLY, Kind.MUST_NOT, Kind.MUST_NOT, Kind.MAY,
    ]  # fmt: skip
