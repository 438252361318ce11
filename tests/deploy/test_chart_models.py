"""Where a pod of the chart gets its networks, plans and policy from."""

from __future__ import annotations

from deploy.chart import Helm, Values, containers
from moderation import contract


def test_networks_of_the_image_need_nothing_else(helm: Helm) -> None:
    """Promise: the default has no init container and no claim."""
    rendered = helm.render({})
    assert "initContainers" not in rendered.pod()
    assert not rendered.all("PersistentVolumeClaim")


def test_networks_are_built_into_a_claim_once(helm: Helm) -> None:
    """Promise: the first pod builds, the server only reads, and the claim outlives the release."""
    rendered = helm.render({"modelStore": {"source": "pvc", "pvc": {"size": "9Gi", "storageClass": "nfs"}}})
    claim = rendered.one("PersistentVolumeClaim", "-models")
    assert claim["spec"]["resources"]["requests"]["storage"] == "9Gi"
    assert claim["spec"]["storageClassName"] == "nfs"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (init,) = rendered.pod()["initContainers"]
    assert init["command"] == ["moderation", "models", "build"]
    (mount,) = [m for m in rendered.server()["volumeMounts"] if m["name"] == "store"]
    assert mount["readOnly"] is True
    assert {"name": "MODERATION_MODEL_STORE", "value": mount["mountPath"]} in rendered.server()["env"]


def test_a_claim_that_exists_is_used(helm: Helm) -> None:
    """Promise: `existingClaim` makes no claim, and without `build` nothing writes to it."""
    pvc = {"existingClaim": "networks", "build": False}
    rendered = helm.render({"modelStore": {"source": "pvc", "pvc": pvc}})
    assert not rendered.all("PersistentVolumeClaim")
    assert "initContainers" not in rendered.pod()
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "networks"}} in rendered.pod()["volumes"]


def test_networks_come_from_object_storage(helm: Helm) -> None:
    """Promise: rclone copies them before the server starts, with credentials from a secret of yours."""
    storage = {
        "path": "bucket/v3",
        "endpoint": "https://s3.example.com",
        "existingSecret": "s3-keys",
        "region": "eu-west-1",
    }
    values: Values = {
        "modelStore": {"source": "objectStorage", "objectStorage": storage},
        "networkPolicy": {"egress": [{"ports": [{"port": 443}]}]},
    }
    (init,) = helm.render(values).pod()["initContainers"]
    assert init["args"][:2] == ["copy", "store:bucket/v3"]
    environment = {e["name"]: e["value"] for e in init["env"]}
    assert environment["RCLONE_CONFIG_STORE_TYPE"] == "s3"
    assert environment["RCLONE_CONFIG_STORE_ENDPOINT"] == "https://s3.example.com"
    assert init["envFrom"] == [{"secretRef": {"name": "s3-keys"}}]


def test_plans_are_built_before_the_server_and_kept_by_gpu_and_release(helm: Helm) -> None:
    """Promise: a plan never meets another GPU or another TensorRT, and one that fits is not built again."""
    product = {"product": "NVIDIA-L40S"}
    cache = {"type": "pvc", "existingClaim": "plans"}
    stores = []
    for tag in ("1.0", "1.1"):
        rendered = helm.render({"profile": "gpu", "gpu": product, "planCache": cache, "image": {"tag": tag}})
        (init,) = rendered.pod()["initContainers"]
        assert init["command"] == ["moderation", "models", "build", "--engine", "tensorrt"]
        assert init["resources"]["limits"]["nvidia.com/gpu"] == 1
        (store,) = {e["value"] for c in containers(rendered.pod()) for e in c["env"] if "STORE" in e["name"]}
        assert store.startswith("/var/cache/moderation/nvidia-l40s-")
        stores.append(store)
    assert len(set(stores)) == 2


def test_a_policy_is_a_release_of_its_own(helm: Helm) -> None:
    """Promise: files of the values become a version folder; a change is a new ConfigMap and new pods."""
    releases = []
    for threshold in ("0.5", "0.6"):
        files = {"policy.yaml": f"threshold: {threshold}", "lists/scams.txt": "free coins"}
        rendered = helm.render({"policy": {"version": 7, "files": files}})
        (volume,) = [v["configMap"] for v in rendered.pod()["volumes"] if v["name"] == "policy"]
        (config,) = [c for c in rendered.all("ConfigMap") if c["metadata"]["name"] == volume["name"]]
        paths = {item["path"]: config["data"][item["key"]] for item in volume["items"]}
        assert paths == files
        (mount,) = [m for m in rendered.server()["volumeMounts"] if m["name"] == "policy"]
        assert mount["mountPath"] == f"/opt/moderation/model_repository/{contract.DECISION_LOGIC}/7"
        annotations = rendered.one("Deployment")["spec"]["template"]["metadata"]["annotations"]
        releases.append((volume["name"], annotations["moderation/policy-digest"]))
    assert len({name for name, _ in releases}) == len({digest for _, digest in releases}) == 2


def test_a_policy_can_come_from_a_configmap_of_yours(helm: Helm) -> None:
    """Promise: existing data is used as it is."""
    policy = {"existingConfigMap": "team-policy", "existingKeys": ["policy.yaml", "lists__scams.txt"]}
    (volume,) = [v["configMap"] for v in helm.render({"policy": policy}).pod()["volumes"] if v["name"] == "policy"]
    assert volume["name"] == "team-policy"
    assert {"key": "lists__scams.txt", "path": "lists/scams.txt"} in volume["items"]
