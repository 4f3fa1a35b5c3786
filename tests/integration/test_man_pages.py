"""Manual pages and completion: from the tables that --help is made of, for each program and each command, and clean by their tools' own judgement."""

import re
import shutil

import pytest

from .harness.program import BUILDS, ROOT, binary, run

PROGRAMS = ("tallymill", "tallymill-consumer", "tallymill-aggregator", "tallymill-produce")


def commands():
    done = run([binary("tallymill"), "--help"])
    listed = re.search(r"^Commands:\n(.*?)\n\n", done.out, re.MULTILINE | re.DOTALL).group(1)
    return [line.split()[0] for line in listed.splitlines()]


def helps():
    """(name of the page, words of the command line)"""
    return [(program, [program]) for program in PROGRAMS] + [(f"tallymill-{command}", ["tallymill", command]) for command in commands()]


def plain(text):
    return re.sub(r"\s+", " ", text)


def test_each_program_and_command_has_a_page_that_says_what_its_help_says():
    pages = {path.name: path for path in (BUILDS["release"] / "man").glob("*.1")}
    assert sorted(pages) == sorted(f"{name}.1" for name, _ in helps())
    for name, words in helps():
        done = run([binary(words[0]), *words[1:], "--man"])
        assert done.code == 0 and done.out.startswith(".Dd "), done
        page = plain(done.out.replace("\\-", "-").replace("\\e", "\\").replace("\\&", ""))
        shown = run([binary(words[0]), *words[1:], "--help"]).out
        for option in re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE):
            assert f".It {option}" in page, (name, option)
        for setting in re.findall(r"^  ([a-z]+\.[a-z_]+) ", shown, re.MULTILINE):
            assert f".It {setting}" in page, (name, setting)
        assert ".Sh EXIT STATUS" in page and plain(shown.split("Exit codes: ")[1]).strip() in page, name


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_has_nothing_to_say_of_any_page():
    pages = sorted(map(str, (BUILDS["release"] / "man").glob("*.1")))
    done = run(["mandoc", "-T", "lint", *pages])
    assert (done.code, done.out) == (0, ""), done
    text = re.sub(r".\x08", "", run(["mandoc", "-T", "utf8", pages[0]]).out)  # bold is a letter struck twice
    assert "SYNOPSIS" in text and "--config" in text


def complete(*words):
    """What bash offers behind these words, of which the last is begun."""
    path = BUILDS["release"] / "bin"
    script = (f"PATH={path}:$PATH; source {ROOT / 'deploy' / 'completion.bash'}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
              "_tallymill; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = run(["bash", "-c", script, "bash", *words])
    assert done.code == 0, done
    return done.out.split()


def test_bash_completes_commands_options_and_settings():
    assert complete("tallymill", "") == commands()
    assert complete("tallymill", "aud") == ["audit"]
    assert {"--deep", "--metrics", "--config"} <= set(complete("tallymill", "audit", "--"))
    assert "--deep" not in complete("tallymill", "verify", "--")
    assert "--strict" in complete("tallymill", "--config", "audit", "verify", "--str")  # a file of that name
    assert complete("tallymill-consumer", "--until") == ["--until-end"]
    assert complete("tallymill-aggregator", "--set", "aggregator.months") == ["aggregator.months_ahead="]
