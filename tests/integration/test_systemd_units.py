"""The units in deploy/systemd are accepted by systemd and expose no more than is said, and the sample settings are accepted by every program."""

import pathlib
import re
import shutil
import subprocess

import pytest

from integration.harness.program import BUILDS, ROOT, binary, environment, run

SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))
SERVICES = [unit for unit in UNITS if "Type=notify\n" in unit.read_text()]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit, tmp_path):
    text = unit.read_text()
    assert "=/usr/local/bin/tallymill" in text
    # Verified with programs that exist: the build's own.
    (tmp_path / unit.name).write_text(text.replace("/usr/local/bin", binary("tallymill-consumer").rsplit("/", 1)[0]))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def install(prefix, stage=""):
    """The programs and units installed below a prefix, in a stage as packages are made."""
    done = run(["cmake", "--install", str(BUILDS["release"]), "--prefix", prefix], 120, env=environment(DESTDIR=stage))
    assert done.code == 0, done
    return {path.name: path for path in pathlib.Path(f"{stage}{prefix}/lib/systemd/system").iterdir()}


def test_an_installed_unit_starts_the_programs_of_its_prefix(tmp_path):
    for folder in ("plain", "with space"):
        prefix = str(tmp_path / folder)
        units = install(prefix)
        assert sorted(units) == sorted(unit.name for unit in UNITS + TIMERS)
        for unit in UNITS:
            text = units[unit.name].read_text()
            assert "/usr/local/bin" not in text and f"{prefix}/bin/tallymill" in text, text
            assert text.count("\n") == unit.read_text().count("\n") and text.count(";") == unit.read_text().count(";")
            if shutil.which("systemd-analyze"):
                done = run(["systemd-analyze", "verify", "--man=no", str(units[unit.name])])
                assert (done.code, done.err) == (0, ""), done
    staged = install("/usr", str(tmp_path / "stage"))
    assert "ExecStart=/usr/bin/tallymill-aggregator " in staged["tallymill-aggregator.service"].read_text()


def test_units_do_not_restart_what_needs_a_person():
    assert [unit.name for unit in SERVICES] == ["tallymill-aggregator.service", "tallymill-consumer@.service", "tallymill-dashboard.service"]
    for unit in SERVICES:
        text = unit.read_text()
        assert "WatchdogSec=" in text and "ExecReload=" in text
        assert "Restart=on-failure\n" in text and "RestartPreventExitStatus=2 3\n" in text


def exposure(unit, tmp_path, drop_in=None):
    """What `systemd-analyze security` says of a unit, with a drop-in where one is given."""
    text = unit.read_text().replace("/usr/local/bin", binary("tallymill-consumer").rsplit("/", 1)[0])
    if drop_in:  # its [Service] behind the unit's own
        text = text.replace("\n[Install]", "\n" + drop_in.read_text().replace("[Service]\n", "") + "\n[Install]") if "[Install]" in text \
            else text + drop_in.read_text().replace("[Service]\n", "")
    (tmp_path / unit.name).write_text(text)
    done = run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(tmp_path / unit.name)])
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.out).group(1))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_exposes_no_more_than_is_said(unit, tmp_path):
    drop_ins = SYSTEMD / "drop-ins"
    assert exposure(unit, tmp_path) <= 1.1
    assert exposure(unit, tmp_path, drop_ins / "servers.conf") <= 1.0
    if unit.name == "tallymill-aggregator.service":
        assert exposure(unit, tmp_path, drop_ins / "tallymill-aggregator-local.conf") <= 0.2
    text = unit.read_text()
    assert {"MemoryMax=256M", "TasksMax=64", "LimitCORE=0", "PrivateUsers=yes"} <= set(text.splitlines())


def test_the_timers_start_archive_and_both_proofs_and_advise_which_leave_their_metrics():
    assert [timer.name for timer in TIMERS] == ["tallymill-archive.timer", "tallymill-audit.timer"]  # each starts the service of its name
    assert "/tallymill archive --due --config /etc/tallymill/tallymill.ini\n" in (SYSTEMD / "tallymill-archive.service").read_text()
    audit, verify, advise = ((SYSTEMD / f"tallymill-{name}.service").read_text() for name in ("audit", "verify", "advise"))
    assert "Wants=network-online.target tallymill-verify.service tallymill-advise.service\n" in audit
    assert " tallymill-audit.service\n" in verify and " tallymill-verify.service\n" in advise
    for name, text in (("audit", audit), ("verify", verify), ("advise", advise)):
        assert f"/tallymill {name} --config /etc/tallymill/tallymill.ini --metrics %S/tallymill/{name}.prom\n" in text


@pytest.mark.parametrize("name", ["audit", "verify", "advise"])
def test_the_node_exporter_may_read_the_metrics_of_a_nightly_run(name, tmp_path):
    """The unit's own line behind the run, with the unit's own umask."""
    text = (SYSTEMD / f"tallymill-{name}.service").read_text()
    command, = re.findall(r"^ExecStopPost=\+/bin/sh -c '(.*)'$", text, re.MULTILINE)
    umask, = re.findall(r"^UMask=(\d+)$", text, re.MULTILINE)
    (tmp_path / "state" / "tallymill").mkdir(parents=True)
    (tmp_path / "state" / "tallymill" / f"{name}.prom").write_text("figures")
    (tmp_path / "state" / "tallymill" / f"{name}.prom").chmod(0o600)
    texts = tmp_path / "texts"
    texts.mkdir()
    for _ in range(2):
        subprocess.run(["/bin/sh", "-c", command.replace("%S", str(tmp_path / "state"))], env={**environment(), "TALLYMILL_TEXTFILES": str(texts)}, umask=int(umask, 8), check=True)
        page, = texts.iterdir()
        assert page.name == f"tallymill-{name}.prom" and page.read_text() == "figures" and page.stat().st_mode & 0o777 == 0o644, oct(page.stat().st_mode)


@pytest.mark.parametrize("program", ["tallymill-consumer", "tallymill-aggregator", "tallymill-produce", "tallymill"])
def test_programs_take_the_sample_settings(program):
    sample = str(ROOT / "deploy" / "tallymill.ini")
    done = run([binary(program), "--config", sample, "--print-settings"])
    assert done.code == 0, done
