"""The packages as files: what is in them, that lintian has nothing to say, that two builds give the same bytes, and what the SBOM names."""

import hashlib
import json
import pathlib
import re
import shutil

import pytest

from integration.harness.program import ROOT, environment, run

NAMES = ("libtallymill-dev", "libtallymill0", "tallymill")


def packages_of(folder):
    return {path.name.split("_")[0]: path for path in folder.glob("*.deb")}


def contents(package):
    done = run(["dpkg-deb", "-c", str(package)])
    assert done.code == 0, done
    return {line.split(None, 5)[5].split(" -> ")[0].lstrip(".").rstrip("/") for line in done.out.splitlines()}


def test_two_builds_give_the_same_bytes(packages, builder, tmp_path):
    again = builder.build(tmp_path / "again")
    sums = (packages / "SHA256SUMS").read_text()
    assert sums == (again / "SHA256SUMS").read_text()
    assert len(sums.splitlines()) == 5  # three packages, the archive, the SBOM
    for line in sums.splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((packages / name).read_bytes()).hexdigest() == digest


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed: deploy/packages install package")
def test_lintian_has_nothing_to_say(packages, builder):
    found = sorted(packages.glob("*.deb"))
    assert sorted(packages_of(packages)) == sorted(NAMES)
    done = builder.lintian(found)
    assert (done.code, done.out) == (0, ""), done


def test_each_package_holds_what_is_its_own(packages):
    found = packages_of(packages)
    whole, library, development = (contents(found[name]) for name in ("tallymill", "libtallymill0", "libtallymill-dev"))
    units = {path.rsplit("/", 1)[1] for path in whole if re.search(r"^(/usr)?/lib/systemd/system/", path)}
    assert units == {path.name for path in (ROOT / "deploy" / "systemd").iterdir() if path.suffix in (".service", ".timer")}
    assert {"/usr/bin/tallymill", "/usr/bin/tallymill-consumer", "/usr/bin/tallymill-aggregator", "/usr/bin/tallymill-produce", "/etc/tallymill/tallymill.ini",
            "/usr/share/bash-completion/completions/tallymill", "/usr/share/man/man1/tallymill-audit.1.gz", "/usr/share/tallymill/prometheus/tallymill.rules.yml",
            "/usr/share/doc/tallymill/runbooks/lag.md", "/usr/share/doc/tallymill/drop-ins/servers.conf", "/usr/share/tallymill/rollups/funnel.sql"} <= whole
    assert any(re.search(r"/libtallymill\.so\.0$", path) for path in library) and not any("/include/" in path for path in library)
    assert "/usr/include/tallymill/producer.h" in development and any(path.endswith("/libtallymill.a") for path in development)
    assert not (whole & library - contents_of_folders(whole)) and not any(path.startswith("/usr/local") for path in whole | library | development)
    conffiles = run(["dpkg-deb", "-I", str(found["tallymill"]), "conffiles"])
    assert conffiles.out.split() == ["/etc/tallymill/tallymill.ini"]


def test_the_release_carries_what_no_distribution_has(packages, tmp_path):
    """Whoever builds it needs no registry for the dashboard: uPlot is in it, pinned by its hash, and another one is not taken."""
    (archive,) = packages.glob("tallymill-*.tar.gz")
    assert run(["tar", "-xf", str(archive), "-C", str(tmp_path)]).code == 0
    (tree,) = tmp_path.glob("tallymill-*")
    (carried,) = (tree / "deploy" / "archives").iterdir()
    offline = environment(XDG_CACHE_HOME=str(tmp_path / "cache"), npm_config_registry="http://127.0.0.1:1/", npm_config_fetch_retries="0")
    had = run([str(tree / "deploy" / "uplot")], env=offline)
    assert had.code == 0 and "uPlot=" in (pathlib.Path(had.out.strip()) / "uPlot.iife.min.js").read_text(), had
    carried.write_bytes(carried.read_bytes()[:-1] + b"x")
    shutil.rmtree(tmp_path / "cache")
    refused = run([str(tree / "deploy" / "uplot")], env=offline)
    assert refused.code == 1 and not list(tmp_path.glob("cache/tallymill/uplot-*")), refused


def contents_of_folders(paths):
    """Those that are folders of others."""
    return {path for path in paths if any(other.startswith(path + "/") for other in paths)} | {""}


def test_the_sbom_names_the_packages_and_what_is_inside(packages):
    (page,) = packages.glob("*.spdx.json")
    document = json.loads(page.read_text())
    assert document["spdxVersion"] == "SPDX-2.3" and document["SPDXID"] == "SPDXRef-DOCUMENT"
    entries = {entry["SPDXID"]: entry for entry in document["packages"]}
    assert len(entries) == len(document["packages"])
    for name, path in packages_of(packages).items():
        assert entries[f"SPDXRef-deb-{name}"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(path.read_bytes()).hexdigest()}]
    names = [entry["name"] for entry in entries.values()]
    assert len(set(names)) == len(names) and set(names) >= {*NAMES, "libpq5", "libsystemd0", "uPlot"}
    holders = {}
    for relation in document["relationships"]:
        if relation["relationshipType"] == "CONTAINS":
            holders.setdefault(relation["relatedSpdxElement"], set()).add(relation["spdxElementId"])
    assert holders.pop("SPDXRef-uplot") == {"SPDXRef-deb-tallymill"}
    for holding in holders.values():  # librdkafka and yyjson, where the distribution's are too old or not there: the programs and both libraries hold them, each with its licence
        assert holding == {f"SPDXRef-deb-{name}" for name in NAMES}
    assert set(holders) == {f"SPDXRef-{name}" for name in ("librdkafka", "yyjson") if name in names}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= {*entries, "SPDXRef-DOCUMENT"}
