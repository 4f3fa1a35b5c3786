"""Who is let into the dashboard, what is asked wrongly, and what it says while a server is away."""

import gzip
import json
import re
import socket

from psycopg2 import extensions

from .harness.dashboard import Dashboard
from .harness.gate import Gate
from .harness.program import ROOT
from .harness.waiting import wait_until

WEB = ROOT / "operator" / "dashboard" / "web"


def test_what_is_asked_wrongly_is_named(make_site):
    dashboard = Dashboard(make_site())
    for path in ("/api/v1/page/overview?range=30d", "/api/v1/page/overview?range=custom&first=2026-11-09&last=2026-11-08", "/api/v1/page/overview?who=me",
                 "/api/v1/events.csv?grain=hour", "/api/v1/page/overview?range=custom&first=9999-12-31&last=9999-12-31", "/api/v1/events.csv?range=custom&first=9999-12-31&last=9999-12-31",
                 "/api/v1/page/overview?range=custom&first=0000-01-01&last=0000-01-02", "/api/v1/page/overview?range=custom&first=0001-01-01&last=0001-01-02"):
        status, _, body = dashboard.get(path)
        assert (status, json.loads(body)["kind"]) == (400, "request"), path
    for path in ("/api/v1/page/overview?range=%ff", "/api/v1/page/overview?range=custom&first=%c3&last=2026-11-08", "/api/v1/page/overview?who=%ed%a0%80", "/api/v1/events.csv?name=%ff", "/api/v1/events.csv?session=a%80",
                 "/api/v1/events.csv?user=%fe", "/api/v1/panel/languages.csv?tab=%ff", "/api/v1/panel/languages.csv?range=%ff", "/api/v1/pipeline/live?since=%ff", "/api/v1/page/overview?%ff=1"):
        status, _, body = dashboard.get(path)
        assert (status, json.loads(body)) == (400, {"error": "what the address asks for is not UTF-8", "kind": "request"}), path
    assert dashboard.get("/api/v1/page/%ff")[0] == 404 and dashboard.get("/%ff")[0] == 404
    for path in ("/api/v1/page/none", "/api/v1/panel/none.csv", "/api/v1/panel/languages", "/api/v1/panel/languages.csv?tab=%27", "/api/v1", "/etc/passwd", "/../web/index.html"):
        assert dashboard.get(path)[0] == 404, path
    assert dashboard.get("/api/v1/page/overview", "POST", b"x")[0] == 405
    assert dashboard.get("/api/v1/page/overview", "DELETE")[0] == 405


def test_the_page_is_whole_in_itself_and_says_so_to_the_browser(site):
    dashboard = Dashboard(site)
    status, headers, html = dashboard.get("/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    weight = len(gzip.compress(html))
    for path in sorted(set(re.findall(r'(?:src|href)="(/[^"#]+)"', html.decode())) | {"/format.js", "/chart.js", "/panels.js", "/pipeline.js", "/alarms.js", "/live.js", "/favicon.ico"}):
        status, headers, plain = dashboard.get(path)
        assert status == 200 and headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        status, headers, packed = dashboard.get(path, Accept_Encoding="gzip")
        assert packed == plain and headers["Content-Encoding"] == "gzip", path
        assert dashboard.get(path, Accept_Encoding="gzip", If_None_Match=headers["ETag"])[::2] == (304, b""), path
        for known in (f"W/{headers['ETag']}", f'"x", {headers["ETag"]}', "*"):
            assert dashboard.get(path, Accept_Encoding="gzip", If_None_Match=known)[0] == 304, (path, known)
        assert "Content-Encoding" not in dashboard.get(path, Accept_Encoding="gzip;q=0, deflate")[1] and dashboard.get(path, Accept_Encoding="br, gzip;q=0.5")[1]["Content-Encoding"] == "gzip"
        weight += len(gzip.compress(plain))
    assert weight < 150_000
    # Refusals carry the same headers.
    for status, headers, _ in (dashboard.get("/none"), dashboard.get("/", "PUT"), dashboard.get("/", Host="evil.example")):
        assert status >= 400 and headers["Content-Security-Policy"] == policy


def test_nothing_of_an_event_can_enter_the_page_as_markup():
    for path in WEB.iterdir():
        text = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "style=", "javascript:", "onclick=", "http://", "https://"):
            found = text.replace("http://www.w3.org/2000/svg", "")
            assert word not in found, f"{path.name}: {word}"


def test_only_known_hosts_are_answered(site):
    dashboard = Dashboard(site, "dashboard.hosts=stats.example other.example")
    for host in ("localhost", "localhost:9460", "127.0.0.1:1", "[::1]:9460", "10.1.2.3", "stats.example", "Other.Example:443"):
        assert dashboard.get("/", Host=host)[0] == 200, host
    for host in ("evil.example", "localhost.evil.example", "stats.example.evil", "example", "", "127.0.0.1.evil.example"):
        assert dashboard.get("/api/v1/pipeline", Host=host)[0] == 421, host


# What only those may read who are let in; what is not there looks the same to the others.
DATA = ("/api/v1/page/overview", "/api/v1/page/none", "/api/v1/panel/languages.csv", "/api/v1/events.csv", "/api/v1/pipeline", "/api/v1/pipeline/live", "/api/v1/pipeline/live.csv", "/api/v1/pipeline/months.json",
        "/api/v1/pipeline/months.csv", "/api/v1/pipeline/months.sql", "/api/v1/", "/api/", "/none", "//api/v1/pipeline", "/API/v1/pipeline", "/%61pi/v1/pipeline", "/x/../api/v1/pipeline")
TOKEN = "0123456789abcdef0123456789abcdef-and-more"


def test_a_token_is_asked_for_once(site, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    dashboard = Dashboard(site, f"dashboard.token=@{tmp_path}/token", "dashboard.cookie_secure=off")
    status, _, html = dashboard.get("/")  # the page itself is no secret: it asks for its figures with the cookie
    assert status == 200 and html == (WEB / "index.html").read_bytes()
    for path in DATA:
        status, headers, body = dashboard.get(path)
        assert (status, headers["WWW-Authenticate"], body) == (401, "Bearer", b"a token is needed\n"), path
    assert b"<form" in dashboard.get("/login")[2] and dashboard.get("/login.css")[0] == 200
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    status, headers, _ = dashboard.get("/login", "POST", f"token={TOKEN}", **form)
    cookie = headers["Set-Cookie"]
    assert status == 303 and "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie and TOKEN not in cookie
    session = cookie.split(";")[0]
    assert dashboard.get("/api/v1/pipeline", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert dashboard.get("/api/v1/pipeline?token=" + TOKEN)[0] == 401
    for path in DATA:
        assert dashboard.get(path, Cookie=session)[0] != 401, path  # (a panel's table is not there at once)
    for wrong in (session[:-1] + ("0" if session[-1] != "0" else "1"), "session=", "session=" + "0" * 64, session + "00"):
        assert dashboard.get("/api/v1/pipeline", Cookie=wrong)[0] == 401, wrong
    for wrong in (TOKEN[:-1], TOKEN + "x", "", TOKEN.upper()):
        assert dashboard.get("/login", "POST", f"token={wrong}", **form)[0] == 403, wrong
    assert dashboard.get("/api/v1/pipeline", Authorization="Bearer x" + TOKEN)[0] == 401  # the fifth that fails
    assert dashboard.get("/login", "POST", f"token={TOKEN}", **form)[0] == 429
    assert dashboard.get("/api/v1/pipeline", Cookie=session)[0] == 200  # who is in stays in
    assert TOKEN not in dashboard.program.log()
    assert "Secure" in Dashboard(site, f"dashboard.token={TOKEN}").get("/login", "POST", f"token={TOKEN}", **form)[1]["Set-Cookie"]
    assert TOKEN not in site.tallymill("dashboard", "--set", f"dashboard.token={TOKEN}", "--print-settings").out


def test_behind_a_proxy_wrong_tokens_of_one_keep_out_nobody_else(site):
    """Of what X-Forwarded-For says only the last counts, which the proxy has written; a client may say anything before it."""
    dashboard = Dashboard(site, f"dashboard.token={TOKEN}")

    def ask(forwarded, token=TOKEN):
        return dashboard.get("/api/v1/pipeline", Authorization=f"Bearer {token}", **({"X_Forwarded_For": forwarded} if forwarded else {}))[0]

    for number in range(5):
        assert ask(f"198.51.100.{number}, 203.0.113.7", "wrong") == 401
    for out in ("203.0.113.7", "198.51.100.9,203.0.113.7", "203.0.113.8,\t203.0.113.7 ", "203.0.113.7:4711"):
        assert ask(out) == 401, out
    for another in ("203.0.113.8", "203.0.113.7, 203.0.113.8", "2001:db8::1", "[2001:db8::2]:4711", None, "unknown", "x" * 300, ""):
        assert ask(another) == 200, another
    for number in range(5):  # what is no address counts for the proxy itself
        assert ask("y" * (number + 1), "wrong") == 401
    assert ask(None) == 401 and ask("unknown") == 401 and ask("203.0.113.8") == 200
    assert dashboard.get("/login", "POST", f"token={TOKEN}", Content_Type="application/x-www-form-urlencoded")[0] == 429
    assert dashboard.get("/login", "POST", f"token={TOKEN}", Content_Type="application/x-www-form-urlencoded", X_Forwarded_For="203.0.113.8")[0] == 303


def test_beyond_the_loopback_a_token_is_a_must(site):
    for sets in (("dashboard.listen=0.0.0.0:0",), ("dashboard.listen=0.0.0.0:0", "dashboard.token=short"), ("dashboard.token=" + "x" * 31,), ("dashboard.listen=127.0.0.1",),
                 ("dashboard.panels=/nowhere",)):
        refused = site.tallymill("dashboard", *[word for pair in sets for word in ("--set", pair)])
        assert refused.code == 2 and "dashboard." in refused.err, (sets, refused)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = site.tallymill("dashboard", "--set", f"dashboard.listen=127.0.0.1:{taken.getsockname()[1]}")
        assert refused.code == 2 and "another program listens there" in refused.err, refused
    assert site.tallymill("dashboard", "--check").code == 0


def test_it_stays_up_while_postgres_is_away(site):
    server = extensions.parse_dsn(site.database.dsn)
    gate = Gate(server["host"], int(server["port"]))
    dashboard = Dashboard(site, f"postgres.dsn={extensions.make_dsn(site.database.dsn, host='127.0.0.1', port=gate.port)}")
    assert dashboard.json("/api/v1/page/overview")[0] == 200
    gate.shut()
    status, answer = wait_until(lambda: (lambda found: found if found[0] == 503 else None)(dashboard.json("/api/v1/page/overview")), 30, "the page to say it")
    assert answer["kind"] == "retry" and answer["error"]
    facts = dashboard.pipeline()
    assert facts["postgres"] and "topic_partitions" not in facts
    assert dashboard.get("/")[0] == 200
    gate.open()
    wait_until(lambda: dashboard.json("/api/v1/page/overview")[0] == 200, 30, "the page to come back by itself")
    assert dashboard.program.stop() == 0


def test_it_starts_without_kafka_and_says_that_the_lag_is_unknown(site):
    dashboard = Dashboard(site, "kafka.bootstrap.servers=127.0.0.1:1")
    facts = wait_until(lambda: (lambda facts: facts if facts["kafka"]["trouble"] not in (None, "it was not asked yet") else None)(dashboard.pipeline()), 40, "Kafka's silence to be told")
    assert facts["postgres"] is None and set(facts["kafka"]["ends"]) <= {None}
    rows = wait_until(lambda: dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"], 40, "a row")
    assert rows[-1][2] is None and rows[-1][3] is None and rows[-1][4] is None  # unknown is never 0
    assert dashboard.program.log().count("Kafka does not say how far its logs go") == 1


def test_a_database_without_our_schema_is_named_and_comes_to_be_read(make_site):
    site = make_site(migrate=False)
    dashboard = Dashboard(site)
    status, answer = dashboard.json("/api/v1/page/overview")
    assert status == 500 and "tallymill migrate" in answer["error"]
    assert site.tallymill("migrate").code == 0
    wait_until(lambda: dashboard.json("/api/v1/page/overview")[0] == 200, 30, "the page to read the new schema")


def test_strangers_do_not_keep_it_from_answering(site):
    """Silent connections, half requests and readers that do not read, on all threads."""
    dashboard = Dashboard(site)
    host, port = dashboard.address.split(":")
    strangers = [socket.create_connection((host, int(port)), 10) for _ in range(40)]
    for number, stranger in enumerate(strangers):
        stranger.sendall((b"", b"GET / HT", b"GET /uplot.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30, b"\0\xff" * 500, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\nx")[number % 5])
    for _ in range(10):
        assert dashboard.page()[1]["tab"] == "overview"
    for stranger in strangers:
        stranger.close()
