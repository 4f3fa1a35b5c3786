"""The programs on the pages of docs/publish whose tools are too large for the daily run: as integration/test_publish_pages.py, by name (`tests/run languages`)."""

import shutil

import pytest

from integration.harness.program import ROOT
from integration.test_publish_pages import FOREIGN, becomes_rows, expected_topic_partitions, must, program  # noqa: F401  (a fixture)

TARGET = ROOT / "build" / "languages"  # librdkafka is compiled once


def needs(*commands):
    lacking = [command for command in commands if shutil.which(command) is None]
    assert not lacking, f"tests/run languages needs {', '.join(lacking)}: a JDK (17 or newer), Maven and Cargo are not installed by it"


def made_in_java(folder):
    needs("javac", "java", "mvn")
    shutil.copy(FOREIGN / "java" / "pom.xml", folder / "pom.xml")
    # -C: a jar whose checksum differs from the registry's fails.
    must("mvn", "-B", "-ntp", "-C", "-q", "-f", folder / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'libs'}", deadline=600)
    must("sh", "-c", 'cd "$1/libs" && sha256sum --check --quiet --strict "$2"', "sh", folder, FOREIGN / "java" / "jars.sha256")
    source = program("java.md", "java", folder / "Publish.java")
    must("javac", "-Xlint:all,-processing", "-Werror", "-cp", folder / "libs/*", "-d", folder, source)
    return ["java", "-cp", f"{folder}:{folder}/libs/*", "Publish"]


def made_in_rust(folder):
    needs("cargo", "cc", "make")
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(FOREIGN / "rust" / name, folder / name)
    (folder / "src").mkdir()
    program("rust.md", "rust", folder / "src" / "main.rs")
    built = must("sh", "-c", 'cd "$1" && cargo build --release --locked --quiet --target-dir "$2"', "sh", folder, TARGET, deadline=1800)
    assert "warning" not in built.err, built
    return [shutil.copy(TARGET / "release" / "publish", folder / "publish")]


@pytest.mark.parametrize("made", [made_in_java, made_in_rust])
def test_the_program_of_the_page_publishes_events_that_become_rows(make_site, tmp_path, made, expected_topic_partitions):  # noqa: F811
    becomes_rows(make_site(partitions=8), made(tmp_path), expected_topic_partitions)


@pytest.mark.parametrize("made", [made_in_java, made_in_rust])
def test_without_words_it_tells_its_usage(tmp_path, made):
    done = must("sh", "-c", '"$@"; test $? -eq 2', "sh", *made(tmp_path))
    assert done.err.startswith("usage:"), done
