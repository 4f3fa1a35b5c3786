"""The units in deploy/systemd are accepted by systemd, and the sample settings by every program."""

import pathlib
import shutil
import subprocess

import pytest

from integration.harness.program import BUILDS, ROOT, binary, environment, run

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit, tmp_path):
    text = unit.read_text()
    assert "/usr/local/bin/tallymill-" in text
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
        assert sorted(units) == [unit.name for unit in UNITS]
        for unit in UNITS:
            text = units[unit.name].read_text()
            assert "/usr/local/bin" not in text and f"{prefix}/bin/tallymill-" in text, text
            assert text.count("\n") == unit.read_text().count("\n") and text.count(";") == unit.read_text().count(";")
            if shutil.which("systemd-analyze"):
                done = run(["systemd-analyze", "verify", "--man=no", str(units[unit.name])])
                assert (done.code, done.err) == (0, ""), done
    staged = install("/usr", str(tmp_path / "stage"))
    assert "ExecStart=/usr/bin/tallymill-aggregator " in staged["tallymill-aggregator.service"].read_text()


def test_units_do_not_restart_what_needs_a_person():
    for unit in UNITS:
        text = unit.read_text()
        assert "Type=notify\n" in text and "WatchdogSec=" in text
        assert "Restart=on-failure\n" in text and "RestartPreventExitStatus=2 3\n" in text


@pytest.mark.parametrize("program", ["tallymill-consumer", "tallymill-aggregator", "tallymill-produce", "tallymill"])
def test_programs_take_the_sample_settings(program):
    sample = str(ROOT / "deploy" / "tallymill.ini")
    done = run([binary(program), "--config", sample, "--print-settings"])
    assert done.code == 0, done
