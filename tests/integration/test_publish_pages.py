"""The programs on the pages of docs/publish, taken out of the pages and run: their events are rows, and a session is in one topic partition
whichever client sent it."""

import re
import shutil
import uuid

import msgpack
import pytest

from .harness.program import BUILDS, ROOT, environment, run
from .harness.publisher import events

PAGES = ROOT / "docs" / "publish"
FOREIGN = ROOT / "tests" / "foreign"
SESSIONS = ["s-42", "21", "b7e23ec2-9af4-4d8a-8a1c-3f2e1d0c9b8a", "ünï-çødé-😀", *(f"visitor {number}" for number in range(8))]


def program(page, language, path):
    """The one program of a page, written to a file."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    return path


def must(*command, deadline=240, **more):
    done = run([str(word) for word in command], deadline, env=environment(**more))
    assert done.code == 0, done
    return done


def made_in_c(folder, compiler="cc", flags=("-std=c99",)):
    source = program("c.md", "c", folder / "publish.c")
    library = BUILDS["release"] / "lib"
    must(compiler, "-Wall", "-Wextra", "-Werror", *flags, "-x", "c" if compiler == "cc" else "c++", source, "-o", folder / "publish",
         f"-I{ROOT}/producer/include", f"-L{library}", "-ltallymill", f"-Wl,-rpath,{library}")
    return [folder / "publish"]


def made_in_node(folder):
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOREIGN / name, folder / name)
    must("npm", "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund")
    return ["node", program("node.md", "js", folder / "publish.mjs")]


def made_in_python(folder):
    return ["/usr/bin/python3", program("python.md", "python", folder / "publish.py")]


def made_in_go(folder):
    for name in ("go.mod", "go.sum"):
        shutil.copy(FOREIGN / "go" / name, folder / name)
    program("go.md", "go", folder / "main.go")
    # go builds the module of the folder that it is started in.
    must("sh", "-c", 'cd "$1" && go vet . && go build -o publish .', "sh", folder, GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false")
    return [folder / "publish"]


CLIENTS = {"c": made_in_c, "node": made_in_node, "python": made_in_python, "go": made_in_go}


@pytest.fixture(scope="module")
def expected_topic_partitions():
    """Of the sessions among eight: the hash of the clients that Apache Kafka itself ships."""
    return {session: (murmur2(session.encode()) & 0x7FFFFFFF) % 8 for session in SESSIONS}


def murmur2(data):
    """As in org.apache.kafka.common.utils.Utils."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at:at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
@pytest.mark.parametrize("client", CLIENTS)
def test_the_program_of_the_page_publishes_events_that_become_rows(make_site, tmp_path, client, expected_topic_partitions):
    if client == "go" and shutil.which("go") is None:
        pytest.skip("no Go here")
    becomes_rows(make_site(partitions=8), CLIENTS[client](tmp_path), expected_topic_partitions)


def becomes_rows(site, command, expected_topic_partitions):
    """What the program of a page publishes."""
    done = must(*command, site.stack.bootstrap, site.topic, *SESSIONS, deadline=60, NODE_NO_WARNINGS="1")
    sent = [(identity, int(number), int(offset)) for identity, number, offset in map(str.split, done.out.splitlines())]
    assert len(sent) == 2 * len(SESSIONS) and all(uuid.UUID(identity).version == 7 for identity, _, _ in sent), done
    site.drain()
    places = {identity: number for identity, number, _ in sent}
    rows = site.database.rows("SELECT id::text, event_name, event_category, session_id, user_id, event_data, created_at > now() - interval '1 hour'"
                              " FROM analytics_events")
    assert {row[0] for row in rows} == set(places)
    for session in SESSIONS:
        of_session = {row[1]: row for row in rows if row[3] == session}
        assert of_session["doc_generation"][4:] == (1001, {"doc_type": "README", "success": True}, True)
        assert of_session["doc_export"][4:] == (None, {"action": "copy"}, True)
        assert {places[row[0]] for row in of_session.values()} == {expected_topic_partitions[session]}, session
    site.assert_holds(acknowledged=sent)


def test_the_program_in_c_is_also_one_in_cplusplus(tmp_path):
    made_in_c(tmp_path, "c++", ("-std=c++20", "-Wno-missing-field-initializers"))


def test_a_program_that_reaches_no_kafka_says_so_and_does_not_end_well(tmp_path):
    command = made_in_python(tmp_path)
    text = (tmp_path / "publish.py").read_text(encoding="utf-8").replace("producer.flush(30)", "producer.flush(2)")
    (tmp_path / "publish.py").write_text(text, encoding="utf-8")
    done = run([*map(str, command), "127.0.0.1:1", "t", "s"], 60)
    assert done.code == 1, done


@pytest.mark.plain_servers("the program is shown for a Kafka that asks for no login")
def test_msgpack_from_msgpack_c_becomes_rows(site):
    """producer/examples/publish_msgpack.c: event_data, and a whole event."""
    must(BUILDS["release"] / "bin/example-publish-msgpack", site.stack.bootstrap, site.topic)
    site.drain()
    assert site.database.rows("SELECT session_id, event_data FROM analytics_events ORDER BY session_id") == [
        ("s-42", {"action": "copy", "pages": 3}), ("s-43", {"action": "copy", "pages": 3})]


def test_the_trace_of_a_message_is_kept_where_the_operator_wants_it(make_site):
    """wire.trace; the header that the library sends is in unit/producer_api.c."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for kept in (False, True):
        site = make_site(**({"wire.trace": "keep"} if kept else {}))
        (made,) = events(1)
        site.publisher.send_bytes(msgpack.packb(made), event_id=made["id"], headers={"traceparent": trace, "other": b"x"})
        site.publisher.flush()
        site.drain()
        assert site.database.rows("SELECT event_data ->> '_trace' FROM analytics_events") == [(trace if kept else None,)]
