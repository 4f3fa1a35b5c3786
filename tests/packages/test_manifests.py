"""deploy/containers/kubernetes.yaml against the schemas of Kubernetes, as strictly as they can be read. It was never run on a cluster."""

import sys

from integration.harness.program import ROOT, environment, run

VALIDATOR = "kubernetes-validate==1.37.0"  # brings the schemas of that release


def test_the_manifests_are_what_kubernetes_takes(tmp_path):
    made = run([sys.executable, "-m", "venv", str(tmp_path / "venv")], 120)
    assert made.code == 0, made
    fetched = run([str(tmp_path / "venv/bin/pip"), "-q", "--disable-pip-version-check", "install", VALIDATOR], 300, env=environment())
    assert fetched.code == 0, fetched
    page = ROOT / "deploy" / "containers" / "kubernetes.yaml"
    done = run([str(tmp_path / "venv/bin/kubernetes-validate"), "--strict", str(page)], 120)
    assert done.code == 0 and (done.out + done.err).count("passed for resource ") == 3, done
    broken = tmp_path / "broken.yaml"
    broken.write_text(page.read_text().replace("replicas: 3", "replicas: three"))
    assert run([str(tmp_path / "venv/bin/kubernetes-validate"), "--strict", str(broken)], 120).code != 0
