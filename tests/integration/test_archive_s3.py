"""Archives in an S3-compatible store: a real server (S3Proxy, in Java), and somebody between it and us who refuses, cuts, flips or says nothing.

By name: `TALLYMILL_S3=1 tests/run integration -- -k archive_s3` (Java and Maven; the server's jars are fetched once, 43 MB). TALLYMILL_S3=long has a store that hangs, too: two minutes.
"""

import contextlib
import functools
import http.client
import http.server
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from .harness.program import ROOT, Program, environment, run, with_parent
from .harness.waiting import wait_until
from .test_archive import MONTH, STEPS, killed_at_random, make_archive  # noqa: F401 (a fixture)
from .test_erase_archives import make_erasing  # noqa: F401 (a fixture)

ACCESS, SECRET, BUCKET = "tester", "a/secret+with=signs", "tallymill-archive"
PREFIX = "some/where"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module", name="jars")
def fixture_jars():
    if "TALLYMILL_S3" not in os.environ:
        pytest.skip("TALLYMILL_S3 is not set")
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tallymill" / "s3proxy-2.6.0"
    if not (folder / "complete").exists():
        subprocess.run(with_parent(["mvn", "-q", "-B", "-f", str(ROOT / "tests/foreign/s3proxy/pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]),
                       check=True, timeout=900)
        (folder / "complete").touch()
    return folder


@contextlib.contextmanager
def s3proxy(jars, folder, **properties):
    """A running S3Proxy with an empty bucket; gives its endpoint and the directory of the bucket."""
    endpoint, store = f"http://127.0.0.1:{free_port()}", folder / "s3"
    (store / BUCKET).mkdir(parents=True)
    said = {"s3proxy.endpoint": endpoint, "s3proxy.authorization": "aws-v4", "s3proxy.identity": ACCESS, "s3proxy.credential": SECRET, "jclouds.provider": "filesystem-nio2",
            "jclouds.filesystem.basedir": store, "jclouds.identity": "x", "jclouds.credential": "x", **properties}
    (folder / "s3.properties").write_text("".join(f"{key}={value}\n" for key, value in said.items()))
    running = Program(["java", "-Xmx256m", "-cp", f"{jars}/*", "org.gaul.s3proxy.Main", "--properties", str(folder / "s3.properties")], folder / "s3.log", environment())

    def answers():
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(endpoint, timeout=2)
        return True

    try:
        wait_until(answers, 60, running.log, OSError)
        yield endpoint, store / BUCKET
    finally:
        running.kill()


@pytest.fixture(scope="module", name="shared")
def fixture_shared(jars, tmp_path_factory):
    with s3proxy(jars, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(name="server")
def fixture_server(shared):
    """The server, with an empty bucket."""
    for path in sorted(shared[1].rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return shared


def to_s3(folder, endpoint, **more):
    secret = folder / "s3-secret"
    secret.write_text(SECRET + "\n")
    return {"archive.target": f"s3://{BUCKET}/{PREFIX}", "s3.endpoint": endpoint, "s3.access_key": ACCESS, "s3.secret_key": f"@{secret}", **more}


def test_a_month_leaves_for_a_bucket_and_comes_back(archive, server, tmp_path):
    endpoint, bucket = server
    here = archive(count=3000, **to_s3(tmp_path, endpoint))
    for words in ((), ("--set", f"s3.secret_key={SECRET}", "--set", "s3.session_token=a-token")):
        shown = here.site.tallymill("archive", *words, "--print-settings").out
        assert "[s3]" in shown and SECRET not in shown and "a-token" not in shown
    assert "are in order" in here.must("--check").out
    here.must()
    here.is_away()
    files = sorted(path.name for path in bucket.rglob("*") if path.is_file())
    assert "manifest.json" in files and len(files) > 2, files
    assert "is whole" in here.must("--verify").out
    odd = bucket / PREFIX / "analytics_events" / MONTH / "0001" / "Somebody else's & <odd>+ key.txt"
    shutil.copy2(next(bucket.rglob("part-00001*")), odd)    # with the attributes that this server keeps of an object
    here.restore()
    here.is_back()
    here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
    here.must()    # written anew: the older generation is deleted from the bucket, and nothing else is
    here.is_away()
    assert {path.parent.name for path in bucket.rglob("*") if path.is_file() and path != odd} == {"0002"} and odd.exists()
    part = next(bucket.rglob("part-00001*"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    done = here.run("--verify")
    assert done.code == 1 and "DAMAGED" in done.err, done
    part.unlink()
    done = here.site.tallymill("restore", MONTH)
    assert done.code == 1 and "it is missing" in done.err, done


@pytest.mark.parametrize("setting, value, reason", [
    ("s3.secret_key", "wrong", "look at s3.secret_key"), ("s3.access_key", "nobody", "look at s3.access_key"), ("s3.access_key", "", "not set"),
    ("archive.target", "s3://no-such-bucket", "make the bucket"), ("archive.target", "s3://Upper/Case", "lower case"), ("archive.target", f"s3://{BUCKET}/od&d", "lower case"),
    ("archive.target", f"s3://{BUCKET}/../up", "lower case"), ("archive.target", f"s3://{BUCKET}/a//b", "lower case"), ("archive.target", "s3://", "lower case"),
    ("s3.endpoint", "127.0.0.1:1", "http://HOST:PORT"), ("s3.endpoint", "http://me:secret@127.0.0.1", "http://HOST:PORT"), ("s3.region", "mars/1", "s3.region")])
def test_a_store_that_refuses_is_named_and_the_month_stays(archive, server, tmp_path, setting, value, reason):
    here = archive(count=40, **to_s3(tmp_path, server[0], **{setting: value}))
    for words in ((MONTH,), ("--check",)):
        done = here.run(*words)
        assert done.code == 2 and reason in done.err and SECRET not in done.err and "me:secret" not in done.err, done
    here.is_back()


def test_a_clock_that_is_off_is_named(archive, server, tmp_path):
    here = archive(count=40, **to_s3(tmp_path, server[0]))
    done = run(["faketime", "-f", "+2h", *here.site.command("tallymill", "archive", MONTH)], 120)
    assert done.code == 2 and "the clocks of this host and of the store differ" in done.err, done
    here.is_back()


def test_a_store_that_takes_no_such_large_part_is_named(archive, jars, tmp_path):
    with s3proxy(jars, tmp_path, **{"s3proxy.v4-max-non-chunked-request-size": 8000}) as (endpoint, _):
        here = archive(count=3000, **to_s3(tmp_path, endpoint))
        done = here.run()
        assert done.code == 2 and "lower archive.part_size" in done.err, done
        here.is_back()


class Between(http.server.BaseHTTPRequestHandler):
    """Hands each request on to the store, and the answer back, but for what `mischief` does: a function of (this, answer) that says whether it has answered itself."""
    store, mischief, seen, version = None, None, None, None
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.number = self.seen[(self.command, self.path)] = self.seen.get((self.command, self.path), 0) + 1
        if not self.mischief(None):
            self.hand_on(self.body)

    def hand_on(self, body):
        onward = http.client.HTTPConnection(self.store, timeout=60)
        onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            onward.putheader(name, value)
        onward.endheaders(body)
        got = onward.getresponse()
        content = got.read()
        onward.close()
        if not self.mischief(content):
            self.give(got.status, content)

    def give(self, status, content, length=None):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", len(content) if length is None else length)
        if self.version:
            self.send_header("x-amz-version-id", self.version)
        self.end_headers()
        if status != 204:
            self.wfile.write(content)

    def cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def busy(request, content):
    """Each request is refused once."""
    if request.number == 1 and content is None:
        request.give(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
        return True
    return False


def cut_once(request, content):
    """The first answer to each request ends in its middle, or never comes, though the store has done what it was asked."""
    if request.number == 1 and content is not None:
        if content:
            request.give(200, content[: len(content) // 2], len(content))
        request.cut()
        return True
    return False


def of_a_part(mischief):
    """What is done to the answers that hold a part, and to no others."""
    def done(request, content):
        is_one = bool(content) and request.command == "GET" and "part-" in request.path
        if is_one:
            mischief(request, content)
        return is_one
    return functools.wraps(mischief)(done)


@of_a_part
def cut_always(request, content):
    request.give(200, content[: len(content) // 2], len(content))
    request.cut()


@of_a_part
def shorter(request, content):
    """It is shorter than it was, and says so."""
    request.give(200, content[:-1])


@of_a_part
def flip_read(request, content):
    request.give(200, content[:-1] + bytes([content[-1] ^ 1]))


def flip_sent(request, content):
    """The first time a byte is another on its way to the store."""
    if request.command == "PUT" and request.number == 1 and content is None:
        request.hand_on(request.body[:-1] + bytes([request.body[-1] ^ 1]))
        return True
    return False


def ill(request, content):
    if content is None:
        request.give(500, b"")
    return True


def closed(request, content):
    request.cut()
    return True


def of_the_web(request, content):
    """No store at all: a page."""
    if content is None:
        request.give(404, b"<html>not found</html>")
    return True


def keeps_versions(request, content):
    request.version = "3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo"
    return False


def mute(request, content):
    if content is None:
        request.released.wait(200)
        request.cut()
    return True


@contextlib.contextmanager
def between(endpoint, mischief):
    kind = type("Ill", (Between,), {"store": endpoint.removeprefix("http://"), "mischief": lambda self, content: mischief(self, content), "seen": {}, "released": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        kind.released.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("mischief", [busy, cut_once, flip_sent])
def test_what_passes_is_tried_again(archive, server, tmp_path, mischief):
    with between(server[0], mischief) as endpoint:
        here = archive(count=40, **to_s3(tmp_path, endpoint))
        done = here.must()
        assert "try=1 " in done.err, done
        here.is_away()
        here.restore()
        here.is_back()


@pytest.mark.parametrize("mischief, code, reason", [(cut_always, 1, "try=3"), (shorter, 1, "DAMAGED"), (flip_read, 1, "DAMAGED"), (ill, 1, "answers 500"), (closed, 1, "try=3"),
                                                    (of_the_web, 2, "answers 404")])
def test_what_does_not_pass_is_noticed_before_the_month_is_dropped(archive, server, tmp_path, mischief, code, reason):
    with between(server[0], mischief) as endpoint:
        here = archive(count=40, **to_s3(tmp_path, endpoint))
        done = here.run()
        assert done.code == code and reason in done.err, done
        here.is_back()


@pytest.mark.skipif(os.environ.get("TALLYMILL_S3") != "long", reason="TALLYMILL_S3 is not long")
def test_a_store_that_hangs_is_given_up(archive, server, tmp_path):
    with between(server[0], mute) as endpoint:
        here = archive(count=40, **to_s3(tmp_path, endpoint))
        done = here.run(deadline=400)
        assert done.code == 1 and "try=3" in done.err, done
        here.is_back()


def test_a_run_that_is_killed_at_any_step_is_ended_by_the_next_in_a_bucket(archive, server, tmp_path):
    here = archive(build="check", **to_s3(tmp_path, server[0]))
    for step, is_readable in STEPS.items():
        here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
        killed = here.site.start("tallymill", "archive", MONTH, failpoint=f"{step}:exit", name=step)
        assert killed.wait(60) == 86, f"{step}: {killed.log()}"
        assert (here.rows() == here.content) == is_readable, step
        here.must()
        here.is_away()
        here.restore()
        here.is_back()
    here.must()
    assert len({path.parent.name for path in server[1].rglob("*") if path.is_file()}) == 1, "of older generations nothing is left"


def test_killed_at_random_beside_live_events_in_a_bucket(archive, server, tmp_path):
    killed_at_random(archive(count=2000, **to_s3(tmp_path, server[0], **{"aggregator.interval": "100 ms"})))


def test_a_person_is_gone_from_a_bucket_and_that_it_keeps_versions_is_said(erasing, server, tmp_path):
    with between(server[0], keeps_versions) as endpoint:
        here = erasing(**to_s3(tmp_path, endpoint))
        here.folder = server[1]
        here.archive()
        done = here.erase("--yes")
        assert done.code == 0 and "keeps versions" in done.err, done
        assert "keeps versions" in here.site.database.value("SELECT array_to_string(remarks, ' ') FROM tallymill.erasures")
        here.is_without_them()
