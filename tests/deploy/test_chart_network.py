"""Who reaches the pods of the chart, by which paths."""

from __future__ import annotations

from deploy.chart import CANARY, EXPOSED, NAME, Helm, Values, with_values
from moderation import contract


def test_services_lead_to_their_track_and_the_headless_one_to_all(helm: Helm) -> None:
    """Promise: the canary gets no request by the stable service; checks reach every pod."""
    rendered = helm.render(CANARY)
    stable, canary, every = (rendered.one("Service", s)["spec"] for s in ("", "-canary", "-pods"))
    assert stable["type"] == canary["type"] == "ClusterIP"
    assert stable["selector"]["moderation/track"] == "stable"
    assert canary["selector"]["moderation/track"] == "canary"
    assert every["clusterIP"] == "None"
    assert "moderation/track" not in every["selector"]
    for suffix, service in (("", stable), ("-canary", canary)):
        labels = rendered.one("Deployment", suffix)["spec"]["template"]["metadata"]["labels"]
        assert service["selector"].items() <= labels.items()
        assert every["selector"].items() <= labels.items()
    (job,) = rendered.all("Job")
    assert not every["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_http_route_leads_to_the_entry_model_only(helm: Helm) -> None:
    """Promise: no other model, no control interface, no metrics from outside."""
    (rule,) = helm.render(EXPOSED).one("HTTPRoute")["spec"]["rules"]
    found = {(m["method"], m["path"]["type"], m["path"]["value"]) for m in rule["matches"]}
    base = f"/v2/models/{contract.ENTRY}"
    assert found == {
        ("POST", "Exact", f"{base}/infer"),
        ("POST", "Exact", f"{base}/generate"),
        ("GET", "Exact", base),
        ("GET", "Exact", f"{base}/ready"),
    }


def test_the_grpc_route_lets_inference_and_health_through(helm: Helm) -> None:
    """Promise: no method of model control, shared memory, trace or log."""
    (rule,) = helm.render(EXPOSED).one("GRPCRoute")["spec"]["rules"]
    assert {m["method"]["service"] for m in rule["matches"]} == {"inference.GRPCInferenceService"}
    methods = {m["method"]["method"] for m in rule["matches"]}
    assert methods == {"ModelInfer", "ModelMetadata", "ModelReady", "ServerReady"}


def test_the_ingress_leads_to_the_entry_model_by_tls(helm: Helm) -> None:
    """Promise: the same paths, nothing in clear."""
    ingress = {"enabled": True, "hosts": ["m.example.com"], "tlsSecret": "m-tls", "className": "nginx"}
    spec = helm.render({"ingress": ingress, "exposure": {"trustedCallers": True}}).one("Ingress")["spec"]
    (rule,) = spec["rules"]
    paths = {p["path"] for p in rule["http"]["paths"]}
    assert {p["pathType"] for p in rule["http"]["paths"]} == {"Exact"}
    assert paths == {f"/v2/models/{contract.ENTRY}{end}" for end in ("", "/infer", "/generate", "/ready")}
    assert spec["tls"] == [{"hosts": ["m.example.com"], "secretName": "m-tls"}]


def test_a_canary_gets_its_share_of_both_routes(helm: Helm) -> None:
    """Promise: weights sum to 100, the track has its own image and pods."""
    rendered = helm.render(CANARY)
    for kind in ("HTTPRoute", "GRPCRoute"):
        (rule,) = rendered.one(kind)["spec"]["rules"]
        assert {b["name"]: b["weight"] for b in rule["backendRefs"]} == {NAME: 95, f"{NAME}-canary": 5}
    assert rendered.server("-canary")["image"].endswith(":0.2.0")
    assert rendered.server()["image"].endswith(":0.1.0")
    assert rendered.one("Deployment", "-canary")["spec"]["replicas"] == 2


def test_a_canary_can_be_a_policy(helm: Helm) -> None:
    """Promise: the tracks may differ in policy alone."""
    canary: Values = {"enabled": True, "policy": {"version": 2, "files": {"policy.yaml": "new"}}}
    rendered = helm.render(with_values(EXPOSED, {"canary": canary}))
    assert rendered.server()["image"] == rendered.server("-canary")["image"]
    assert [v["name"] for v in rendered.pod("-canary")["volumes"]].count("policy") == 1
    assert "policy" not in [v["name"] for v in rendered.pod()["volumes"]]


def test_grpc_can_have_tls_in_the_pod(helm: Helm) -> None:
    """Promise: certificates come from a secret; callers can be asked for theirs."""
    rendered = helm.render({"tls": {"grpc": {"existingSecret": "grpc-tls", "mutual": True}}})
    assert "--tls-cert=/etc/moderation/grpc-tls/tls.crt" in rendered.server()["args"]
    assert "--tls-client-ca=/etc/moderation/grpc-tls/ca.crt" in rendered.server()["args"]
    (volume,) = [v for v in rendered.pod()["volumes"] if v["name"] == "grpc-tls"]
    assert volume["secret"]["secretName"] == "grpc-tls"


def test_everything_that_is_not_needed_is_denied(helm: Helm) -> None:
    """Promise: default deny both ways; callers, scrapers and the chart's own checks get in, nothing gets out."""
    rendered = helm.render({})
    spec = rendered.one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []
    ports = [[p["port"] for p in rule["ports"]] for rule in spec["ingress"]]
    assert ports == [["http", "grpc"], ["metrics"], ["http", "metrics"]]
    check = rendered.one("NetworkPolicy", "-check")["spec"]
    (job,) = rendered.all("Job")
    assert check["podSelector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert check["ingress"] == []


def test_callers_and_scrapers_can_be_named(helm: Helm) -> None:
    """Promise: the gateway's and Prometheus' namespaces instead of the defaults."""
    client = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
    rules = helm.render({"networkPolicy": {"clients": [client], "scrapers": [client]}}).one("NetworkPolicy")["spec"]
    assert rules["ingress"][0]["from"] == rules["ingress"][1]["from"] == [client]


def test_tracing_opens_names_and_the_way_that_is_given(helm: Helm) -> None:
    """Promise: traces go to the collector, and only then is DNS open."""
    egress = [{"to": [{"podSelector": {"matchLabels": {"app": "otel"}}}], "ports": [{"port": 4318}]}]
    tracing = {"enabled": True, "endpoint": "http://otel:4318/v1/traces", "rate": 10}
    rendered = helm.render({"tracing": tracing, "networkPolicy": {"egress": egress}})
    dns, own = rendered.one("NetworkPolicy")["spec"]["egress"]
    assert [p["port"] for p in dns["ports"]] == [53, 53]
    assert own == egress[0]
    arguments = rendered.server()["args"]
    assert {"--trace-endpoint=http://otel:4318/v1/traces", "--trace-rate=10"} <= set(arguments)
