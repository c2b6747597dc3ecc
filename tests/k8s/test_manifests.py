"""Raw objects to the typed cluster, kind by kind."""

from __future__ import annotations

from pathlib import Path

from eastwest.k8s.manifests import Problem, RawObject, load, load_text, parse
from eastwest.model.cluster import ClusterState, ContainerPort, Pod
from eastwest.model.flow import Workload

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: ui, namespace: shop}
spec:
  selector: {matchLabels: {app: ui}}
  template:
    metadata: {labels: {app: ui, tier: web}}
    spec:
      containers:
      - {name: a, ports: [{containerPort: 8080, name: http}, {containerPort: 53, protocol: UDP}]}
      initContainers:
      - {name: once, ports: [{containerPort: 1}]}
      - {name: sidecar, restartPolicy: Always, ports: [{containerPort: 9090}]}
"""
REPLICA_SET = """
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: ui-5d9c
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: ui, uid: d, controller: true}]
spec: {selector: {matchLabels: {app: ui, pod-template-hash: 5d9c}}, template: {metadata: {labels: {app: ui}}}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: ui-5d9c-abcde
  namespace: shop
  uid: 1-2-3
  labels: {app: ui, pod-template-hash: 5d9c}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: ui-5d9c, uid: r, controller: true}]
spec: {nodeName: n1, containers: [{name: a}]}
status: {phase: Running, podIP: 10.0.0.7, podIPs: [{ip: 10.0.0.7}, {ip: "FD00:0::7"}]}
"""


def state(*texts: str) -> tuple[ClusterState, list[Problem]]:
    found: list[RawObject] = []
    problems: list[Problem] = []
    load_text("---\n".join(text.lstrip("\n") for text in texts), "f.yaml", found, problems)
    parsed, more = parse(found)
    return parsed, problems + more


def pods(*texts: str) -> tuple[Pod, ...]:
    return state(*texts)[0].pods


def test_a_workload_without_pods_gets_a_stand_in() -> None:
    (pod,) = pods(DEPLOYMENT)
    assert pod.uid is None
    assert (pod.name, pod.workload) == ("ui", Workload("shop", "Deployment", "ui"))
    assert pod.labels == {"app": "ui", "tier": "web"}
    assert pod.selector == {"app": "ui"}
    assert pod.ips == ()
    assert pod.ports == (ContainerPort(8080, "TCP", "http"), ContainerPort(53, "UDP"), ContainerPort(9090))
    assert str(pod.origin) == "f.yaml:1"


def test_with_running_pods_there_is_no_stand_in() -> None:
    (pod,) = pods(DEPLOYMENT, REPLICA_SET, POD)
    assert pod.uid == "1-2-3"
    assert pod.workload == Workload("shop", "Deployment", "ui")
    assert pod.selector == {"app": "ui"}
    assert pod.ips == ("10.0.0.7", "fd00::7")
    assert pod.node == "n1"


def test_a_finished_pod_does_not_stand_for_its_workload() -> None:
    (pod,) = pods(DEPLOYMENT, REPLICA_SET, POD.replace("Running", "Succeeded"))
    assert pod.uid is None
    assert pod.name == "ui"


def test_owners_missing_from_the_files_are_read_from_names() -> None:
    assert pods(POD)[0].workload == Workload("shop", "Deployment", "ui")
    job_pod = POD.replace("kind: ReplicaSet, name: ui-5d9c", "kind: Job, name: nightly-29012345")
    assert pods(job_pod)[0].workload == Workload("shop", "CronJob", "nightly")
    assert pods(job_pod.replace("nightly-29012345", "once"))[0].workload == Workload("shop", "Job", "once")


def test_chain_of_a_cron_job() -> None:
    cron = (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c, namespace: shop}\n"
        "spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: c}}, spec: {containers: [{name: a}]}}}}}\n"
    )
    job = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop, ownerReferences: "
        "[{kind: CronJob, name: c, controller: true}]}\n"
        "spec: {template: {metadata: {labels: {app: c, controller-uid: u}}}}\n"
    )
    run = POD.replace("kind: ReplicaSet, name: ui-5d9c", "kind: Job, name: j")
    (idle,) = pods(cron)
    assert (idle.workload.kind, idle.labels, idle.selector) == ("CronJob", {"app": "c"}, {"app": "c"})
    (running,) = pods(cron, job, run)
    assert running.workload == Workload("shop", "CronJob", "c")
    assert running.selector == {"app": "c"}


def test_a_bare_pod_owns_itself() -> None:
    (pod,) = pods("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n")
    assert pod.workload == Workload("default", "Pod", "a")
    assert pod.selector is None


def test_services_and_their_endpoints() -> None:
    parsed, problems = state(
        """
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.9, "fd01::9"]
  externalIPs: [198.51.100.1]
  externalTrafficPolicy: Local
  ports: [{port: 80, targetPort: http, nodePort: 30080}, {name: x, port: 53, protocol: UDP, targetPort: "5353"}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.5}, {hostname: lb.example}]}}
""",
        """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
endpoints:
- {addresses: [192.0.2.1]}
- {addresses: [192.0.2.2], conditions: {ready: false}}
""",
        "apiVersion: v1\nkind: Service\nmetadata: {name: head, namespace: shop}\nspec: {clusterIP: None, selector: {a: b}}\n",
    )
    db, head = parsed.services
    assert db.cluster_ips == ("10.96.0.9", "fd01::9")
    assert db.load_balancer_ips == ("203.0.113.5", "198.51.100.1")
    assert [(p.port, p.protocol, p.target_port, p.node_port) for p in db.ports] == [
        (80, "TCP", "http", 30080),
        (53, "UDP", 5353, None),
    ]
    assert db.external_traffic_policy == "Local"
    assert db.endpoint_ips == ("192.0.2.1",)
    assert head.cluster_ips == ()
    assert head.selector == {"a": "b"}
    assert [p.severity for p in problems] == ["note"]


def test_nodes() -> None:
    parsed, _ = state(
        """
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/zone: eu-1a, topology.kubernetes.io/region: eu-1}}
spec: {podCIDR: 10.1.0.0/24, providerID: aws:///eu-1a/i-1}
status:
  addresses:
  - {type: ExternalIP, address: 203.0.113.1}
  - {type: Hostname, address: n1}
  - {type: InternalIP, address: 192.168.0.1}
"""
    )
    (node,) = parsed.nodes
    assert node.ips == ("192.168.0.1", "203.0.113.1")
    assert (node.zone, node.region, node.pod_cidrs, node.provider_id) == (
        "eu-1a", "eu-1", ("10.1.0.0/24",), "aws:///eu-1a/i-1",
    )  # fmt: skip


def test_used_namespaces_are_made_and_noted() -> None:
    parsed, problems = state(DEPLOYMENT, POD.replace("shop", "other"))
    assert [(n.name, n.labels) for n in parsed.namespaces] == [
        ("other", {"kubernetes.io/metadata.name": "other"}),
        ("shop", {"kubernetes.io/metadata.name": "shop"}),
    ]
    assert [p.severity for p in problems] == ["note", "note"]


def test_a_namespace_always_has_its_name_label() -> None:
    parsed, problems = state("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {team: x}}\n")
    assert parsed.namespaces[0].labels == {"kubernetes.io/metadata.name": "a", "team": "x"}
    assert problems == []


def test_duplicates_are_reported_and_the_last_counts() -> None:
    parsed, problems = state(DEPLOYMENT, DEPLOYMENT.replace("tier: web", "tier: new"))
    assert parsed.pods[0].labels["tier"] == "new"
    assert [p.severity for p in problems] == ["warning", "note"]
    assert "f.yaml:1" in problems[0].message


def test_wrong_types_name_the_field_and_the_line() -> None:
    _, problems = state(DEPLOYMENT.replace("{app: ui, tier: web}", "{app: ui, tier: 1.10}"))
    error = next(p for p in problems if p.severity == "error")
    assert error.field == "spec.template.metadata.labels.tier"
    assert error.line == 7
    assert "1.1" in error.message
    assert "Deployment shop/ui" in str(error)


def test_a_selector_that_misses_its_template_is_a_warning() -> None:
    _, problems = state(DEPLOYMENT.replace("matchLabels: {app: ui}", "matchLabels: {app: other}"))
    assert "warning" in [p.severity for p in problems]


def test_other_kinds_are_passed_over_but_foreign_policies_are_named() -> None:
    parsed, problems = state(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: s}\n",
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: s}\n",
    )
    assert parsed == ClusterState()
    assert ["not evaluated" in p.message for p in problems] == [True, True]


def test_load_reads_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEPLOYMENT)
    parsed, _ = load(tmp_path)
    assert len(parsed.pods) == 1
