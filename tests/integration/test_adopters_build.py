"""What an application's programmer builds with: find_package, pkg-config, the parts of an installation, the library without the programs.

Each installation is moved once it was made, so that nothing in it may know where it was, and each project is a copy outside the source tree.
TALLYMILL_STATIC=1: with it a program without any shared library, for which librdkafka is built once more (a minute or two; not in the daily run).
"""

import os
import re
import shutil

import pytest

from .harness.program import BUILDS, ROOT, environment, run

SOURCES = ROOT / "tests/installed"
# What the library-only build may see of pkg-config, with what these require: nothing that only the programs need. librdkafka's, where the system's is taken.
ITS_PACKAGES = ("jansson", "libxxhash", "yyjson", "rdkafka", "libzstd", "libcrypto", "libssl", "libcurl")
HIDDEN = re.compile(r"libpq-fe\.h|postgres|microhttpd|systemd/|include/msgpack\.h|criterion|bzlib\.h|lzma\.h")


def done(command, deadline=120, **how):
    finished = run([str(word) for word in command], deadline, **how)
    assert finished.code == 0, finished
    return finished


def install(build, folder, *components):
    """An installation of these components (all: none named), moved. Its folder, and the files in it by their paths below it."""
    made, moved = folder / "made", folder / "a moved one"
    for words in [("--component", one) for one in components] or [()]:
        done(["cmake", "--install", build, "--prefix", made, *words])
    made.rename(moved)
    return moved, {str(path.relative_to(moved)) for path in moved.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    return install(BUILDS["release"], tmp_path_factory.mktemp("installed"))[0]


def adopter(folder):
    """A copy of the project, with the sources of both programs."""
    project = folder / "project"
    shutil.copytree(SOURCES / "adopter", project)
    for name in ("publish_few.c", "publish_cpp.cpp"):
        shutil.copy(SOURCES / name, project)
    return project


def pkg_config(prefix, *words):
    """What pkg-config says when it knows our file and no other, as on a machine without the -dev packages of what we stand on."""
    (found,) = prefix.rglob("tallymill.pc")
    return done(["pkg-config", *words, "tallymill"], env=environment(PKG_CONFIG_LIBDIR=str(found.parent))).out


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
def test_a_cmake_project_finds_both_libraries_and_its_events_arrive(site, prefix, tmp_path):
    project, build = adopter(tmp_path), tmp_path / "build"
    done(["cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DWANTED=0.1"])
    done(["cmake", "--build", build])
    ids = []
    for name in ("publish_few", "publish_cpp"):
        for kind in ("tallymill", "tallymill_static"):
            program = build / f"{name}-{kind}"
            needed = done(["readelf", "-d", program]).out
            assert ("libtallymill.so.0" in needed) == (kind == "tallymill"), needed
            ids += done([program, site.stack.bootstrap, site.topic, "10"]).out.split()
    site.drain()
    site.fold()
    assert site.assert_holds(acknowledged=[(one, None, None) for one in ids]).figures["rows stored"] == 40


@pytest.mark.parametrize("wanted, is_found", [("0.1.0", True), ("", True), ("0.2", False), ("1.0", False), ("0.0.9", False)])
def test_a_version_is_found_where_it_is_compatible(prefix, tmp_path, wanted, is_found):
    tried = run(["cmake", "-S", str(adopter(tmp_path)), "-B", str(tmp_path / "build"), f"-DCMAKE_PREFIX_PATH={prefix}", f"-DWANTED={wanted}"])
    assert (tried.code == 0) == is_found, tried
    assert is_found or "tallymillConfig.cmake, version: 0.1.0" in tried.err, tried


def test_pkg_config_needs_no_other_package_to_compile_and_to_link(prefix):
    assert "/include" in pkg_config(prefix, "--cflags")
    assert re.findall(r"(?<!\S)-l\S+", pkg_config(prefix, "--libs")) == ["-ltallymill"]
    assert {"-ltallymill", "-ljansson", "-lxxhash"} <= set(pkg_config(prefix, "--static", "--libs").split())


@pytest.mark.parametrize("language", ["c", "c++"])
def test_what_pkg_config_says_builds_in_a_shell(prefix, tmp_path, language):
    """Also in a folder whose name has a space, which pkg-config quotes for the shell."""
    source = "publish_few.c" if language == "c" else "publish_cpp.cpp"
    compiler = "cc -std=c99 -D_POSIX_C_SOURCE=200809L" if language == "c" else "c++ -std=c++17"
    program = tmp_path / "program"
    said = pkg_config(prefix, "--cflags", "--libs").strip()
    done(["sh", "-c", f"{compiler} '{SOURCES / source}' -o '{program}' {said}"])
    (library,) = prefix.rglob("libtallymill.so")
    assert run([str(program)], env=environment(LD_LIBRARY_PATH=str(library.parent))).code == 2, "it says its usage: it was loaded"


def test_the_parts_of_an_installation_are_the_whole(tmp_path):
    everything, parts = install(BUILDS["release"], tmp_path / "all")[1], {}
    for component in ("runtime", "library", "development"):
        parts[component] = install(BUILDS["release"], tmp_path / component, component)[1]
    assert set().union(*parts.values()) == everything
    notices = {path for path in parts["library"] if path.startswith("share/doc/")}
    assert notices and all(notices <= one for one in parts.values()), "each part holds the notices of what is linked into it"
    assert any("uPlot" in path for path in parts["runtime"]) == any("uPlot" in path for path in everything)
    assert sum(len(one - notices) for one in parts.values()) == len(everything - notices), "any other file belongs to one part"
    assert {path.rsplit("/", 1)[1] for path in parts["library"] - notices} == {"libtallymill.so.0", "libtallymill.so.0.1.0"}
    assert {"producer.h", "producer.hpp", "libtallymill.so", "libtallymill.a", "tallymill.pc", "tallymillConfig.cmake"} <= {
        path.rsplit("/", 1)[1] for path in parts["development"]}
    assert {"bin/tallymill", "bin/tallymill-produce", "bin/tallymill-consumer", "bin/tallymill-aggregator"} <= parts["runtime"]


def with_required(names):
    """The .pc files of these packages that are there, and of all that they require."""
    left, found = list(names), {}
    while left:
        name = left.pop()
        where = run(["pkg-config", "--variable=pcfiledir", name])
        if name not in found and where.code == 0:
            found[name] = os.path.join(where.out.strip(), name + ".pc")
            left += [line.split()[0] for line in done(["pkg-config", "--print-requires", "--print-requires-private", name]).out.splitlines()]
    return found.values()


def library_only(folder, *words, deadline=400):
    """The library built where pkg-config knows nothing that only the programs need, and CMake finds no BZip2."""
    packages = folder / "packages"
    packages.mkdir()
    for path in with_required(ITS_PACKAGES):
        shutil.copy(path, packages)
    build = folder / "library-only"
    done(["cmake", "-G", "Ninja", "-S", ROOT, "-B", build, "-DTALLYMILL_LIBRARY_ONLY=ON", "-DTALLYMILL_WERROR=ON",
          "-DCMAKE_DISABLE_FIND_PACKAGE_BZip2=ON", *words], deadline, env=environment(PKG_CONFIG_LIBDIR=str(packages)))
    done(["cmake", "--build", build], deadline)
    return build


def test_the_library_alone_needs_nothing_of_what_the_programs_need(tmp_path):
    build = library_only(tmp_path)
    included = done(["ninja", "-C", build, "-t", "deps"]).out
    assert "jansson.h" in included and not HIDDEN.search(included), HIDDEN.findall(included)
    needed = done(["readelf", "-d", build / "lib/libtallymill.so"]).out
    assert "libjansson" in needed and not re.search("libpq|libsystemd|libmicrohttpd|libmsgpack|libbz2|liblzma", needed), needed
    installed = install(build, tmp_path / "alone")[1]
    assert not any(path.startswith(("bin/", "share/tallymill/")) for path in installed)
    assert installed == install(BUILDS["release"], tmp_path / "whole", "library", "development")[1]


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
@pytest.mark.skipif("TALLYMILL_STATIC" not in os.environ, reason="TALLYMILL_STATIC=1 builds librdkafka once more")
def test_a_program_without_any_shared_library(site, tmp_path):
    """glibc's, and the bundled librdkafka without libcurl: the distribution's libcurl.a wants libraries of which there is no static one."""
    prefix, _ = install(library_only(tmp_path, "-DTALLYMILL_OIDC=OFF", deadline=580), tmp_path / "installed")
    program = tmp_path / "program"
    said = pkg_config(prefix, "--static", "--cflags", "--libs").strip()
    done(["sh", "-c", f"cc -static '{SOURCES / 'publish_few.c'}' -o '{program}' {said}"])
    assert "NEEDED" not in done(["readelf", "-d", program]).out
    ids = done([program, site.stack.bootstrap, site.topic, "100"]).out.split()
    site.drain()
    site.fold()
    assert site.assert_holds(acknowledged=[(one, None, None) for one in ids]).figures["rows stored"] == 100
