"""The units in deploy/systemd are accepted by systemd, and the sample settings by every program."""

import shutil
import subprocess

import pytest

from integration.harness.program import ROOT, binary, run

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
