"""libtallymill as an application's programmer has it: installed, found by pkg-config, outside the source tree, in C and in C++.

With it the two things that only a whole program shows: no leak by valgrind, and no race by the thread sanitizer with eight threads publishing
while one flushes and stops, and children forked in the middle.
"""

import shutil

import pytest

from .harness.program import BUILDS, ROOT, environment, run, thread_sanitized

SOURCES = ROOT / "tests/installed"
STRICT = ["-Wall", "-Wextra", "-Werror", "-O1", "-g"]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installation; only the header, the libraries and the pkg-config file are of interest."""
    folder = tmp_path_factory.mktemp("installed")
    done = run(["cmake", "--install", str(BUILDS["release"]), "--prefix", str(folder)], 120)
    assert done.code == 0, done
    return folder


def pkg_config(prefix, *words):
    (found,) = prefix.rglob("tallymill.pc")
    done = run(["pkg-config", *words, "tallymill"], env=environment(PKG_CONFIG_PATH=str(found.parent)))
    assert done.code == 0, done
    return done.out.split()


def compile_few(prefix, folder, compiler, source, how=()):
    """Builds a copy of the program in a folder of its own, so that nothing of the source tree is found by accident."""
    copy = folder / source
    shutil.copy(SOURCES / "publish_few.c", copy)
    program = folder / "program"
    done = run([*compiler, *STRICT, str(copy), "-o", str(program), *pkg_config(prefix, "--cflags"), *how], env=environment(HOME=str(folder)))
    assert done.code == 0, done
    return program


def shared(prefix):
    (library,) = prefix.rglob("libtallymill.so")
    return [*pkg_config(prefix, "--libs"), f"-Wl,-rpath,{library.parent}"]


def static(prefix):
    """Our library static, what it stands on shared: the private words of the pkg-config file."""
    (library,) = prefix.rglob("libtallymill.a")
    (found,) = prefix.rglob("tallymill.pc")
    private = next(line.split(":", 1)[1] for line in found.read_text().splitlines() if line.startswith("Libs.private:"))
    return [str(library), *private.split()]


def beside(prefix):
    """With the distribution's librdkafka in the same process, its symbols first: each keeps its own."""
    return ["-DBESIDE", "-Wl,--no-as-needed", "-l:librdkafka.so.1", *shared(prefix)]


CASES = {
    "c": (["cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L"], "program.c", shared),
    "c++": (["c++", "-x", "c++", "-std=c++11"], "program.cc", shared),
    "static": (["cc"], "program.c", static),
    "beside": (["cc"], "program.c", beside),
}


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
@pytest.mark.parametrize("case", CASES)
def test_a_program_of_its_own_builds_and_its_events_arrive_as_rows(site, prefix, tmp_path, case):
    compiler, source, link = CASES[case]
    program = compile_few(prefix, tmp_path, compiler, source, link(prefix))
    done = run([str(program), site.stack.bootstrap, site.topic, "100"])
    assert done.code == 0, done
    site.drain()
    site.fold()
    assert site.assert_holds(acknowledged=[(one, None, None) for one in done.out.split()]).figures["rows stored"] == 100


def test_a_bundled_librdkafka_is_asked_of_nobody_else(prefix):
    (found,) = prefix.rglob("tallymill.pc")
    if "-lrdkafka" in found.read_text():
        pytest.skip("this build stands on the system's librdkafka")
    (library,) = prefix.rglob("libtallymill.so")
    done = run(["nm", "-D", "--undefined-only", str(library)])
    assert done.code == 0 and "rd_kafka_" not in done.out, done


def test_nothing_but_ours_leaves_the_libraries(prefix):
    """An application may have a librdkafka of its own, and an error_set()."""
    (shared_one,) = prefix.rglob("libtallymill.so")
    (static_one,) = prefix.rglob("libtallymill.a")
    for library, how in ((shared_one, ["-D"]), (static_one, [])):
        done = run(["nm", *how, "--defined-only", "--extern-only", "--format=posix", str(library)])
        names = [line.split("@")[0].split()[0] for line in done.out.splitlines() if len(line.split()) > 1]
        assert done.code == 0 and "tally_open" in names, done
        assert [name for name in names if not name.startswith(("tally_", "TALLYMILL_"))] == []


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
@pytest.mark.parametrize("standard", ["c++17", "c++20", "c++23"])
def test_the_wrapper_for_cpp_builds_without_a_warning_and_its_events_arrive(site, prefix, tmp_path, standard):
    copy = tmp_path / "program.cpp"
    shutil.copy(SOURCES / "publish_cpp.cpp", copy)
    done = run(["c++", f"-std={standard}", *STRICT, "-Wconversion", "-Wsign-conversion", "-Wpedantic", str(copy), "-o", str(tmp_path / "program"),
                *pkg_config(prefix, "--cflags"), *shared(prefix)], 120)
    assert done.code == 0, done
    done = run([str(tmp_path / "program"), site.stack.bootstrap, site.topic, "20"])
    assert done.code == 0, done
    site.drain()
    assert site.database.rows("SELECT count(*), min(session_id), min(event_data ->> 'co'), min(event_data -> 'list' ->> 1), min(event_data -> 'more' ->> 'big'), "
                              "min(event_data ->> 'alone') FROM analytics_events") == [(20, "session-1", "copy", "two", "18446744073709551615", "[null]")]
    assert {row[0] for row in site.database.rows("SELECT id::text FROM analytics_events")} == set(done.out.split())


@pytest.mark.parametrize("compiler", ["c99", "c11", "c17", "c2x", "c++11", "c++14", "c++17", "c++20", "c++23"])
def test_the_header_is_clean_in_every_standard(prefix, tmp_path, compiler):
    source = tmp_path / ("use.cpp" if "+" in compiler else "use.c")
    source.write_text("#include <tallymill/producer.h>\n"
                      "struct tally_error err = TALLY_ERROR_INIT;\nstruct tally_counts counts = TALLY_COUNTS_INIT;\n"
                      "struct tally_hooks hooks = TALLY_HOOKS_INIT;\n#if TALLY_VERSION < 0x000100\n#error\n#endif\n"
                      "int main(void) { return tally_version() == 0 || err.size + counts.size + hooks.size == 0; }\n")
    done = run(["c++" if "+" in compiler else "cc", f"-std={compiler}", *STRICT, "-Wconversion", "-Wpedantic", "-c", str(source), "-o",
                str(tmp_path / "use.o"), *pkg_config(prefix, "--cflags")])
    assert done.code == 0, done


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
def test_valgrind_finds_no_leak_and_no_error(site, prefix, tmp_path):
    program = compile_few(prefix, tmp_path, ["cc"], "program.c", shared(prefix))
    for more in ([], [str(tmp_path / "spool")]):
        done = run(["valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=9",
                    str(program), site.stack.bootstrap, site.topic, "200", *more], 120)
        assert done.code == 0 and "ERROR SUMMARY" not in done.err, done


def test_the_thread_sanitizer_finds_nothing(tmp_path):
    build = thread_sanitized("libtallymill")
    program = tmp_path / "stress"
    done = run(["clang", *STRICT, "-rdynamic", "-fsanitize=thread", f"-I{ROOT / 'producer/include'}", str(SOURCES / "stress.c"),
                str(SOURCES / "c11_threads.c"), "-o", str(program), f"-L{build / 'lib'}", "-ltallymill", f"-Wl,-rpath,{build / 'lib'}", "-pthread"])
    assert done.code == 0, done
    for more in ([], [str(tmp_path / "spool")]):
        done = run([str(program), *more], 120, env=environment(TSAN_OPTIONS=f"suppressions={ROOT}/tests/tsan.supp"))
        assert done.code == 0 and "WARNING: ThreadSanitizer" not in done.err, (done.code, done.err)  # it also warns of a symbolizer that is not there


def test_the_notices_of_what_is_linked_in_are_installed(prefix):
    notices = {path.name: path.read_text(encoding="utf-8") for path in (prefix / "share/doc/tallymill").iterdir() if path.is_file()}
    assert "Apache License" in notices["LICENSE"] and "YaoYuan" in notices["THIRD-PARTY.md"] and "Magnus Edenhill" in notices["THIRD-PARTY.md"]
    bundled = (BUILDS["release"] / "CMakeCache.txt").read_text(encoding="utf-8")
    for name, author in (("librdkafka", "Magnus Edenhill"), ("yyjson", "YaoYuan")):
        installed = [text for path, text in notices.items() if path.startswith(name + "-")]
        assert f"TALLYMILL_{name.removeprefix('lib').upper()}:STRING=bundled" not in bundled or installed, name
        assert all(author in text for text in installed)
