"""The files of deploy/cluster and deploy/kubernetes: what they name is there, linters where they
are installed, and nginx itself before two stubs."""

from __future__ import annotations

import http.server
import importlib.util
import ipaddress
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from helpers import needs
from helpers.behind_nginx import FRAME, NGINX, certificate, free_port, running, wait_for
from hemline.cli import main

DEPLOY = Path(__file__).parents[1] / "deploy"
CLUSTER, KUBERNETES = DEPLOY / "cluster", DEPLOY / "kubernetes"
COMPOSE = yaml.safe_load((CLUSTER / "compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
#: What the operator writes, beside the files of the repository.
OWN = ("./secrets/", "./feed")


def resources() -> list[dict[str, Any]]:
    """Every Kubernetes object of the folder that the kustomization names."""
    named = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted([*named, "kustomization.yaml"]) == sorted(p.name for p in KUBERNETES.iterdir())
    parts = (yaml.safe_load_all((KUBERNETES / name).read_text("utf-8")) for name in named)
    return [one for part in parts for one in part]


def resource(kind: str) -> dict[str, Any]:
    (found,) = [one for one in resources() if one["kind"] == kind]
    return found


def test_every_container_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is (name != "milvus"), name
        assert name == "milvus" or not service["user"].startswith("0"), name
        assert re.search(r":v?\d+[\w.-]*$", service["image"]), f"{name} has no version"
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= set(limits), name
        assert "privileged" not in service
        published = [str(port) for port in service.get("ports", ())]
        assert not published or name in ("nginx", "grafana"), f"{name} is open to the outside"


def test_every_mounted_file_and_volume_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith(OWN):
                continue
            found = (CLUSTER / source).is_file() if "/" in source else source in COMPOSE["volumes"]
            assert found, source
    build = SERVICES["service-1"]["build"]
    assert (CLUSTER / build["context"] / build["dockerfile"]).is_file()


def test_passwords_are_no_part_of_the_files() -> None:
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            if "PASSWORD" in name:
                assert value.startswith("${"), name
    assert ":" not in SERVICES["service-1"]["environment"]["HEMLINE_DATABASE"].split("@")[0][13:]


def test_the_services_are_started_with_options_that_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("hemline.service.run.serve", lambda settings, *_: seen.append(settings))
    (container,) = resource("Deployment")["spec"]["template"]["spec"]["containers"]
    for words in (SERVICES["service-1"]["command"], container["args"]):
        assert main([words[0], str(tmp_path), *words[2:]]) == 0
    assert all(settings.public and settings.root_path == "/finder" for settings in seen)
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert f"--trusted-proxy={network['subnet']}" in SERVICES["service-1"]["command"]
    assert ipaddress.ip_network(network["subnet"]).is_private


def test_prometheus_asks_each_service() -> None:
    settings = yaml.safe_load((CLUSTER / "prometheus.yml").read_text("utf-8"))
    (job,) = settings["scrape_configs"]
    (static,) = job["static_configs"]
    assert static["targets"] == [f"{name}:8000" for name in SERVICES if name.startswith("service-")]
    mounted = [mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]]
    assert {job["authorization"]["credentials_file"], *settings["rule_files"]} <= set(mounted)
    assert 'job="hemline"' in (DEPLOY / "alerts.yml").read_text("utf-8")
    assert job["job_name"] == "hemline"


def test_the_dashboard_names_metrics_and_labels_that_are_there() -> None:
    pytest.importorskip("prometheus_client")
    from hemline.service.metrics import Metrics

    metrics = Metrics()
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.refused.labels("key").inc()
    metrics.writes.labels("added").inc()
    metrics.feedback.labels("true").inc()
    metrics.seconds.labels("/").observe(1)
    metrics.timed({"search": 1.0})
    metrics.on_run(1, 0.1)
    labels: dict[str, set[str]] = {}
    for name, own in re.findall(r"^(\w+)(?:\{(.*?)\})? ", metrics.text().decode(), re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r"(\w+)=", own))
    labels["up"] = set()
    board = json.loads((CLUSTER / "dashboard.json").read_text("utf-8"))
    asked: set[str] = set()
    for panel in board["panels"]:
        for target in panel["targets"]:
            expr = target["expr"]
            names = set(re.findall(r"\b(hemline_\w+|up)\b", expr))
            assert names, panel["title"]
            assert names <= set(labels), panel["title"]
            own = set().union(*(labels[name] for name in names)) | {"instance", "job"}
            used = set(re.findall(r"(\w+)=~?\"", expr))
            for by in re.findall(r"by \((.*?)\)", expr):
                used |= set(by.split(", "))
            assert used <= own, panel["title"]
            asked |= names
    families = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in labels}
    shown = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert shown == families, "each metric of the service has a panel"


def test_no_panel_lies_on_another() -> None:
    board = json.loads((CLUSTER / "dashboard.json").read_text("utf-8"))
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert all(x < 24 for x, _ in own)
        cells |= own
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    source = yaml.safe_load((CLUSTER / "grafana-datasource.yml").read_text("utf-8"))
    assert {p["datasource"]["uid"] for p in board["panels"]} == {source["datasources"][0]["uid"]}


def test_the_pods_are_confined_and_probed() -> None:
    pod = resource("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    assert {"cpu", "memory"} == set(container["resources"]["limits"])
    probes = [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert [probe["httpGet"]["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]
    ports = {port["name"] for port in container["ports"]}
    assert {probe["httpGet"]["port"] for probe in probes} <= ports
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] >= sleep + 60  # hemline.service has 60


def test_the_manifests_name_each_other() -> None:
    deployment, scaler = resource("Deployment"), resource("HorizontalPodAutoscaler")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert resource("Service")["spec"]["selector"] == labels
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert resource(kind)["spec"][field]["matchLabels"] == labels
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "the autoscaler's number would be overwritten"
    assert resource("PodDisruptionBudget")["spec"]["minAvailable"] < scaler["spec"]["minReplicas"]
    (path,) = resource("Ingress")["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == resource("Service")["metadata"]["name"]
    claims = [v["persistentVolumeClaim"]["claimName"]
              for v in deployment["spec"]["template"]["spec"]["volumes"]
              if "persistentVolumeClaim" in v]  # fmt: skip
    assert claims == [resource("PersistentVolumeClaim")["metadata"]["name"]]


@pytest.mark.parametrize("module", ["yamllint", "check_jsonschema", "kubernetes_validate"])
def test_the_linters_find_nothing(module: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(module) is None:
        needs.skip("linters")
    python, files = sys.executable, [*CLUSTER.glob("*.yml"), *KUBERNETES.glob("*.yaml")]
    words = {
        "yamllint": [
            "-m", "yamllint", "-s", "-d",
            "{extends: default, rules: {document-start: disable, line-length: {max: 110}, "
            "comments: {min-spaces-from-content: 1}, braces: {max-spaces-inside: 1}}}",
            *map(str, files),
        ],
        "check_jsonschema": [
            "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
            str(CLUSTER / "compose.yml"),
        ],
        "kubernetes_validate": [
            "-c", "from kubernetes_validate.__main__ import main; main()", "--strict",
            *(str(p) for p in KUBERNETES.glob("*.yaml") if p.stem != "kustomization"),
        ],
    }[module]  # fmt: skip
    done = subprocess.run([python, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl")
def test_kubectl_builds_the_folder() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False
    )
    if "unknown command" in done.stderr:
        pytest.skip("a kubectl without kustomize")
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert sorted(one["kind"] for one in built) == sorted(one["kind"] for one in resources())
    (deployment,) = [one for one in built if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/hemline:0.1.0"


class Stub(http.server.BaseHTTPRequestHandler):
    """Answers with its name; 503 where it is told to."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: Any = self.server
        body = server.name.encode()
        self.send_response(503 if server.busy else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def stub(name: str) -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.name, server.busy = name, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_nginx_shares_searches_out_and_sends_changes_to_one(tmp_path: Path) -> None:
    if NGINX is None or shutil.which("openssl") is None:
        needs.skip("nginx")
    certificate(tmp_path)
    port, plain = free_port(), free_port()
    with ExitStack() as stack:
        one, other = (stack.enter_context(stub(name)) for name in ("one", "other"))
        text = (CLUSTER / "nginx.conf").read_text("utf-8")
        for old, new in (
            ("service-1:8000", f"127.0.0.1:{one.server_port}"),
            ("service-2:8000", f"127.0.0.1:{other.server_port}"),
            ("/etc/nginx/", f"{tmp_path}/"),
            ("listen 8443", f"listen 127.0.0.1:{port}"),
            ("listen 8080", f"listen 127.0.0.1:{plain}"),
        ):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "nginx.conf").write_text(FRAME.format(folder=tmp_path, servers=text))
        stack.enter_context(running(tmp_path / "nginx.conf"))
        wait_for(f"https://127.0.0.1:{port}/")
        client = stack.enter_context(
            httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False)
        )
        search = "/finder/v1/search"
        assert {client.post(search, content=b"x" * 3_000_000).text for _ in range(20)} == {
            "one", "other",
        }  # fmt: skip
        for method, path in (
            ("PUT", "/finder/v1/items/a%2Fb"), ("PATCH", "/finder/v1/items/a"),
            ("DELETE", "/finder/v1/items/a"), ("POST", "/finder/v1/items:bulk"),
            ("POST", "/finder/v1/admin/manifest"), ("GET", "/finder/v1/admin/jobs"),
        ):  # fmt: skip
            assert {client.request(method, path).text for _ in range(4)} == {"one"}, path
        assert client.get("/finder/metrics").status_code == 404
        assert client.get("/elsewhere").status_code == 404
        one.busy = True  # it stops: searches go to the other, none is lost
        answers = [client.post(search, content=b"photo") for _ in range(20)]
        assert {(answer.status_code, answer.text) for answer in answers} == {(200, "other")}
