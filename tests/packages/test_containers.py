"""What is in deploy/containers for those who have Docker: the image is built by buildah and its programs run, Compose's own reader takes compose.yaml, and the probe tells
what is well. Docker itself was never at hand."""

import http.server
import json
import os
import pathlib
import re
import shutil
import threading

import pytest

from integration.harness.monitor import Monitor
from integration.harness.program import ROOT, run
from integration.harness.waiting import wait_until
from lib import bare

from .engine import BASE, BUILD_SECONDS, Engine

CONTAINERS = ROOT / "deploy" / "containers"
PROBE = CONTAINERS / "healthy"
PROGRAMS = ("tallymill", "tallymill-consumer", "tallymill-aggregator", "tallymill-produce")
AWAY = '{"status":"failing","state":"reading","reason":"Postgres is away","seconds":9}\n'
HUNG = '{"status":"failing","state":"reading","reason":"the main loop does not turn","seconds":61}\n'


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    why = bare.missing()
    if why:
        pytest.skip(why)
    folder = os.environ.get("TALLYMILL_ENGINE_ROOT")  # kept from one run to the next
    made = Engine(folder or tmp_path_factory.mktemp("engine"))
    yield made
    if not folder:
        run(["rm", "-rf", "--one-file-system", str(made.folder)], 300)


class Answer:
    """An HTTP server that says the same to everyone."""

    def __init__(self, status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802  (its name is the library's)
                self.send_response(status if self.path == "/health" else 404)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("status, body, is_well, is_alive", [(200, '{"status":"ok","state":"reading"}\n', True, True), (503, AWAY, False, True), (503, HUNG, False, False)])
def test_the_probe_knows_what_is_well_and_what_a_restart_mends(status, body, is_well, is_alive):
    with Answer(status, body) as answer:
        plain, alive = run([str(PROBE), str(answer.port)]), run([str(PROBE), "--alive", str(answer.port)])
    assert (plain.code == 0, alive.code == 0) == (is_well, is_alive), (plain, alive)
    assert body.strip() in plain.out


def test_the_probe_finds_nobody_and_tells_how_it_is_used():
    with Answer(200, "") as answer:
        pass
    assert run([str(PROBE), str(answer.port)]).code == 1 and run([str(PROBE), "--alive", str(answer.port)]).code == 1
    told = run([str(PROBE)])
    assert told.code == 2 and "--alive" in told.err


def test_the_probe_asks_a_worker(make_site):
    site = make_site()
    assert '"the main loop does not turn"' in (ROOT / "common/health.c").read_text()  # what the probe looks for
    port = Monitor(site.worker("--set", "metrics.listen=127.0.0.1:0")).address.rsplit(":", 1)[1]
    wait_until(lambda: run([str(PROBE), port]).code == 0, 30, lambda: run([str(PROBE), port]))
    assert run([str(PROBE), "--alive", port]).code == 0


def test_compose_reads_it_and_each_service_is_held_as_the_units_are(engine):
    file = "/source/deploy/containers/compose.yaml"
    read = json.loads(engine.must("docker-compose", "-f", file, "--profile", "once", "config", "--format", "json"))
    services = read["services"]
    assert sorted(services) == ["aggregator", "migrate", "worker"]
    for name, service in services.items():
        assert service["build"] == {"context": "/source", "dockerfile": "deploy/containers/Dockerfile"} and service["image"] == "tallymill"
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["mem_limit"] == str(256 << 20)
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        mounts = {mount["target"]: (mount["type"], mount.get("read_only", False)) for mount in service["volumes"]}
        assert mounts == {"/etc/tallymill": ("bind", True), "/var/tmp": ("volume", False)}
    for name, port in (("worker", "9460"), ("aggregator", "9471")):
        assert f"metrics.listen=0.0.0.0:{port}" in services[name]["command"] and services[name]["healthcheck"]["test"] == ["CMD", "tallymill-healthy", port]
    refused = engine.run("sh", "-c", f"sed 's/read_only:/readonly:/' {file} >/tmp/broken.yaml; docker-compose -f /tmp/broken.yaml config -q")
    assert refused.code != 0 and "readonly" in refused.err + refused.out, refused


def test_the_image_is_built_and_its_programs_run_in_it(engine):
    assert f"FROM {pathlib.PurePath(BASE[1]).name}" in (CONTAINERS / "Dockerfile").read_text()
    engine.import_base()
    engine.must("buildah", "bud", "--network", "host", "--pull-never", "-f", "/source/deploy/containers/Dockerfile", "-t", "tallymill", "/source", deadline=BUILD_SECONDS)
    config = json.loads(engine.must("buildah", "inspect", "--type", "image", "tallymill"))["OCIv1"]["config"]
    assert config["User"] == "65532:65532" and not config.get("Entrypoint")
    engine.must("buildah", "from", "--pull-never", "--name", "tried", "tallymill")
    for program in PROGRAMS:
        assert re.match(rf"{program} \d+\.\d+\.\d+", engine.answer("tried", program, "--version"))
    assert "uid=65532 gid=65532" in engine.answer("tried", "id")
    written = engine.answer("tried", "sh", "-c", "find / -xdev -type d -writable -not -path '/proc/*' 2>/dev/null; touch /var/tmp/x")
    assert set(written.split()) <= {"/tmp", "/var/tmp", "/run/lock", "/dev/shm", "/dev/mqueue"}, written
    usage = engine.run("buildah", "run", "tried", "--", "tallymill-healthy")
    assert usage.code == 2, usage
    for path in ("/tallymill", "/usr/include/tallymill"):
        assert engine.run("buildah", "run", "tried", "--", "test", "-e", path).code == 1  # nothing of the build is left
    engine.run("buildah", "rm", "tried")


def test_what_git_does_not_have_stays_out_of_an_image(tmp_path):
    """Secrets of a stack, and builds whose caches name other paths."""
    ignored = {line.rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")}
    assert {".git", ".stack*", "build*", "deploy/containers/settings"} <= ignored
    assert shutil.which("git") and run(["git", "-C", str(ROOT), "-c", "safe.directory=*", "check-ignore", "-q", "deploy/containers/settings/dsn"]).code == 0
