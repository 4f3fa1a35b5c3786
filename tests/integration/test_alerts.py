"""The alerts of deploy/prometheus: each fires for its fault and is silent without it, has a runbook, and names metrics that exist. The Grafana dashboard, as far as it can be judged without Grafana.

No server is needed: promtool plays series through the rules. (That the programs' own pages satisfy `promtool check metrics` is in test_metrics.py.)
"""

import json
import re

import pytest

from integration.harness.program import ROOT, run
from lib import prometheus_tools

RULES = ROOT / "deploy" / "prometheus" / "tallymill.rules.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
C, A = "tallymill_consumer_", "tallymill_aggregator_"
WORKER = 'job="tallymill-consumer",instance="w1"'
OTHER = 'job="tallymill-consumer",instance="w2"'
LEADER = 'job="tallymill-aggregator",instance="a1"'
STANDBY = 'job="tallymill-aggregator",instance="a2"'
MINUTES = 70  # the series last so long, a sample a minute
END = MINUTES * 60
NIGHTS = 40 * 3600


def series(name, value, labels=WORKER):
    """One series, as promtool writes them: 5, or 0+1 (a number more each minute), or a text of promtool's own."""
    text = str(value)
    return {f"{name}{{{labels}}}": text if " " in text or "x" in text else f"{text}x{MINUTES}" if "+" in text else f"{text}+0x{MINUTES}"}


def assigned(first, second, of=4):
    return {**series(C + "topic_partitions_assigned", first), **series(C + "topic_partitions_assigned", second, OTHER),
            **series(C + "topic_partitions", of), **series(C + "topic_partitions", of, OTHER)}


def moving(lag, position):
    labels = f'{WORKER},topic_partition="3"'
    return {**series(C + "lag_offsets", lag, labels), **series(C + "position", position, labels)}


def memory(prefix, resident, labels):
    return {**series(prefix + "resident_bytes", resident, labels), **series(prefix + "memory_max_bytes", 64 << 20, labels)}


def disk(free, size):
    return {**series(A + "disk_free_bytes", free << 30, LEADER), **series(A + "disk_bytes", size << 30, LEADER)}


def runs(audit, verify):
    """When they last ran, in seconds since the series began, which is at time() 0."""
    return {**series("tallymill_audit_last_run_timestamp_seconds", audit, 'instance="n"'),
            **series("tallymill_verify_last_run_timestamp_seconds", verify, 'instance="n"')}


TABLE, DAILY, P95 = A + "table_bytes", A + "events_per_day", "tallymill_advise_query_p95_milliseconds"

# Alert: ([what fires it], [what does not]); looked at when the series end.
CASES = {
    "TallymillTargetDown": ([series("up", 0)], [series("up", 1), series("up", 0, 'job="postgres",instance="p"'), series("up", "1x68 0")]),
    "TallymillNoWorker": ([{}, assigned(0, 0)], [assigned(4, 0)]),
    "TallymillTopicPartitionsUnread": ([assigned(1, 2), series(C + "topic_partitions_assigned", 3) | series(C + "topic_partitions", 4)],
                                       [assigned(2, 2), assigned(0, 4), assigned(4, "4x60 0x9")]),
    "TallymillTopicPartitionStopped": ([series(C + "topic_partitions_stopped", 1)], [series(C + "topic_partitions_stopped", 0)]),
    "TallymillLag": ([series(C + "lag_seconds", 400, f'{WORKER},topic_partition="3"')],
                     [series(C + "lag_seconds", 200, f'{WORKER},topic_partition="3"'), series(C + "lag_seconds", "0x67 400 400", f'{WORKER},topic_partition="3"')]),
    "TallymillPositionStandsStill": ([moving(10, 500), moving("0+100", 500)], [moving(0, 500), moving(10, "500+10"), moving("0+100", "500+1")]),
    "TallymillLagNearRetention": ([series(C + "topic_partitions_near_retention", 1)], [series(C + "topic_partitions_near_retention", 0)]),
    "TallymillGap": ([series(C + "gaps_total", "0x50 7x19"), series(C + "gaps_total", "_x50 7x19")],
                     [series(C + "gaps_total", 0), series(C + "gaps_total", "7x200", WORKER)]),
    "TallymillDeadLetterFlood": ([series(C + "dead_letter_flood", 1)], [series(C + "dead_letter_flood", 0), series(C + "dead_letters_total", "0+1")]),
    "TallymillClockDifference": ([series(C + "clock_offset_seconds", 90), series(C + "clock_offset_seconds", -90)], [series(C + "clock_offset_seconds", -2)]),
    "TallymillKafkaAway": ([series(C + "kafka_brokers_up", 0)], [series(C + "kafka_brokers_up", 1), series(C + "kafka_brokers_up", "1x68 0")]),
    "TallymillPostgresAway": ([series(C + "postgres_connected", 0), series(A + "postgres_connected", 0, LEADER)],
                              [series(C + "postgres_connected", 1) | series(A + "postgres_connected", 1, LEADER)]),
    "TallymillMemoryNearLimit": ([memory(C, 63 << 20, WORKER), memory(A, 70 << 20, LEADER)], [memory(C, 50 << 20, WORKER) | memory(A, 50 << 20, LEADER)]),
    "TallymillNobodyLeads": ([{}, series(A + "leader", 0, LEADER) | series(A + "leader", 0, STANDBY)],
                             [series(A + "leader", 1, LEADER) | series(A + "leader", 0, STANDBY)]),
    "TallymillTwoLead": ([series(A + "leader", 1, LEADER) | series(A + "leader", 1, STANDBY)],
                         [series(A + "leader", 1, LEADER) | series(A + "leader", 0, STANDBY), series(A + "leader", "1x68 0", LEADER) | series(A + "leader", "0x67 1 1", STANDBY)]),
    "TallymillStatisticsBehind": ([series(A + "freshness_seconds", 90, LEADER), series(A + "freshness_seconds", "0+60", LEADER)], [series(A + "freshness_seconds", 1, LEADER)]),
    "TallymillDaysWaiting": ([series(A + "statistics_dirty", 3, LEADER)], [series(A + "statistics_dirty", 0, LEADER), series(A + "statistics_dirty", "3x40 0 3x28", LEADER)]),
    # At its end it has been due for 15 minutes, and for 14; once the next event of a quiet day has made it large for a moment.
    "TallymillRollupStale": ([series(A + "rollup_age_seconds", "0+60", LEADER), series(A + "rollup_age_seconds", "0x54 0+60x15", LEADER)],
                             [series(A + "rollup_age_seconds", 50, LEADER), series(A + "rollup_age_seconds", "0x55 0+60x14", LEADER),
                              series(A + "rollup_age_seconds", "0x60 90000 0x8", LEADER)]),
    "TallymillLedgerNotMerged": ([series(A + "ledger_rows", 6_000_000, LEADER)], [series(A + "ledger_rows", 200_000, LEADER)]),
    "TallymillMonthsAhead": ([series(A + "months_ahead", 1, LEADER), series(A + "months_ahead", 0, LEADER)], [series(A + "months_ahead", 3, LEADER), series(A + "months_ahead", 2, LEADER)]),
    "TallymillMonthLeaving": ([series(A + "month_leaving_seconds", 90_000, LEADER), series(A + "month_leaving_seconds", "86000+60", LEADER)],
                              [series(A + "month_leaving_seconds", 0, LEADER), series(A + "month_leaving_seconds", 80_000, LEADER), series(A + "month_leaving_seconds", "0x66 90000 90000 90000 90000", LEADER)]),
    "TallymillDiskNearFull": ([series(A + "disk_left_seconds", 13 * 86400, LEADER) | disk(50, 100), disk(9, 100)],
                              [series(A + "disk_left_seconds", 14 * 86400, LEADER) | disk(11, 100), disk(50, 100), {}, series(A + "disk_left_seconds", "9999999x40 0 9999999x28", LEADER)]),
    "TallymillAuditFailed": ([series("tallymill_audit_success", 0) | series("tallymill_verify_success", 1), series("tallymill_audit_success", 1) | series("tallymill_verify_success", 0)],
                             [series("tallymill_audit_success", 1) | series("tallymill_verify_success", 1)]),
    "TallymillAuditOld": ([runs(END - NIGHTS, END), runs(END, END - NIGHTS), {}, series("tallymill_audit_last_run_timestamp_seconds", 0)],
                          [runs(END - 3600, END - 3500)]),
    "TallymillTableOverOneGigabyte": ([series(TABLE, 2_000_000_000, LEADER), series(TABLE, (1 << 30) + 1, LEADER)], [series(TABLE, 900_000_000, LEADER), series(TABLE, 1 << 30, LEADER)]),
    "TallymillTableOverTenGigabytes": ([series(TABLE, (10 << 30) + 1, LEADER)], [series(TABLE, 2_000_000_000, LEADER), series(TABLE, 10 << 30, LEADER)]),
    "TallymillTenThousandEventsPerDay": ([series(DAILY, 20_000, LEADER)], [series(DAILY, 10_000, LEADER)]),
    "TallymillQueryP95OverTwoSeconds": ([series(P95, 2_001, 'instance="n"')], [series(P95, 2_000, 'instance="n"'), {}, series(P95, "0x66 3000 3000 3000 3000", 'instance="n"')]),
}


@pytest.fixture(scope="module")
def promtool():
    return prometheus_tools.program("promtool")


def alerts():
    return re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)


def played(alert, shown, fires):
    """One test of promtool's."""
    return {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in shown.items()],
            "promql_expr_test": [{"expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}} == 1) > bool 0', "eval_time": f"{MINUTES}m",
                                  "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}]}


def play(promtool, tmp_path, tests):
    page = tmp_path / "rules.test.yml"  # JSON is YAML
    page.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    return run([promtool, "test", "rules", str(page)], 120)


def test_the_rules_are_right_and_so_is_the_sample_of_prometheus(promtool):
    for command in (["check", "rules", str(RULES)], ["check", "config", str(RULES.parent / "prometheus.yml")]):
        done = run([promtool, *command])
        assert done.code == 0 and "FAILED" not in done.out + done.err, done


def test_every_alert_fires_for_its_fault_and_is_silent_without(promtool, tmp_path):
    assert sorted(CASES) == sorted(alerts())
    tests = [played(alert, shown, fires) for alert, pair in CASES.items() for fires, cases in zip((True, False), pair) for shown in cases]
    assert all(fires and silent for fires, silent in CASES.values())
    done = play(promtool, tmp_path, tests)
    assert done.code == 0, done.out + done.err
    # And that a test which expects the wrong thing is seen.
    assert play(promtool, tmp_path, [played("TallymillTargetDown", series("up", 1), True)]).code == 1
    assert play(promtool, tmp_path, [played("TallymillTargetDown", series("up", 0), False)]).code == 1


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    text = RULES.read_text()
    pages = re.findall(r"^ +runbook: (\S+)$", text, re.MULTILINE)
    assert len(pages) == len(alerts())
    assert {f"docs/runbooks/{page.name}" for page in RUNBOOKS.glob("*.md")} == {*pages, "docs/runbooks/README.md"}
    index = (RUNBOOKS / "README.md").read_text()
    for alert, page in zip(alerts(), pages):
        body = (ROOT / page).read_text()
        assert alert in body.splitlines()[0] and f"`{alert}`" in index, alert
        assert all(f"**{part}" in body for part in ("What it means.**", "Look", "Do", "Over")), page


def documented():
    """The metrics of docs/metrics.md: the first column of its tables, below the heading that has their prefix."""
    found, prefix = set(), None
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        if line.startswith("## "):
            prefix = next(iter(re.findall(r"`(tallymill_\w+_)`", line)), None)
        elif line.startswith("| `") and prefix:
            found |= {prefix + name for name in re.findall(r"`(\w+)(?:\{[\w,]+\})?`", line.split(" | ")[0])}
    return found


def declared():
    """The metrics of the programs: their tables in the source."""
    found = {"tallymill_consumer_info", "tallymill_aggregator_info"}
    for path, prefix in (("consumer/worker_metrics.c", C), ("aggregator/aggregator_metrics.c", A)):
        found |= {prefix + name for name in re.findall(r'\.name = "(\w+)"', (ROOT / path).read_text())}
    of_all = re.findall(r'\.name = "(\w+)"', (ROOT / "operator" / "run_metrics.c").read_text())
    for path, prefix in (("operator/audit.c", "tallymill_audit_"), ("operator/verify.c", "tallymill_verify_")):
        body = re.search(r"struct run_figure figures\[\] = \{(.*?)\n    \};", (ROOT / path).read_text(), re.DOTALL).group(1)
        found |= {prefix + name for name in [*of_all, *re.findall(r'\{"(\w+)"', body)]} | {prefix + "info"}
    advised = re.findall(r'add_figure\(figures, &count, "(\w+)"', (ROOT / "operator" / "advise.c").read_text())
    alerts = re.findall(r'add_alert\(all, "(\w+)"', (ROOT / "operator" / "advise_rules.c").read_text())
    return found | {"tallymill_advise_" + name for name in [*of_all, *advised, *alerts]}


def test_the_documents_have_every_metric_and_the_rules_name_no_other():
    assert documented() == declared()
    named = set(re.findall(r"tallymill_(?:consumer|aggregator|audit|verify|advise)_\w+", RULES.read_text()))
    for page in RUNBOOKS.glob("*.md"):
        named |= set(re.findall(r"tallymill_(?:consumer|aggregator|audit|verify|advise)_\w+", page.read_text()))
    assert named and named <= declared(), named - declared()


def test_the_grafana_dashboard_is_what_its_script_makes_and_asks_for_what_there_is(promtool, tmp_path):
    """Untried in Grafana: whole JSON, ids once, and each query parses and names metrics of ours."""
    folder = ROOT / "deploy" / "grafana"
    assert run([str(folder / "make.py"), "--check"]).code == 0, "run deploy/grafana/make.py"
    page = json.loads((folder / "tallymill.json").read_text())
    panels = page["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) and len({panel["title"] for panel in panels}) == len(panels)
    queries = [target["expr"].replace("$job", "tallymill-.*") for panel in panels for target in panel.get("targets", [])]
    rules = tmp_path / "queries.yml"
    rules.write_text(json.dumps({"groups": [{"name": "queries", "rules": [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]}]}))
    done = run([promtool, "check", "rules", str(rules)])
    assert done.code == 0 and f"{len(queries)} rules found" in done.out, done
    parts = "_(bucket|sum|count)$"
    named = {re.sub(parts, "", name) for query in queries for name in re.findall(r"tallymill_\w+", query.replace("tallymill-", ""))}
    assert named and named <= declared(), named - declared()
    covered = [(panel["gridPos"]["x"] + i, panel["gridPos"]["y"] + j) for panel in panels for i in range(panel["gridPos"]["w"]) for j in range(panel["gridPos"]["h"])]
    assert len(covered) == len(set(covered))  # no panel lies over another


def test_the_reasons_of_health_are_those_that_are_documented():
    """Constant texts are there word for word, those with an error in them by how they begin."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    table = page.split("## /health")[1].split("\n## ")[0]
    written = {text.removesuffix("...").strip() for text in re.findall(r"`([^`{]+)`", "".join(line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")))}
    known = set(re.findall(r'reason(?:, | = )"([^"]+)"', (ROOT / "common" / "health.c").read_text()))
    known |= set(re.findall(r'return "([^"]+)";', re.search(r"what_is_wrong\(.*?\n}", (ROOT / "consumer" / "worker_metrics.c").read_text(), re.DOTALL).group(0)))
    known |= set(re.findall(r'health_set_reason\([^"]+"([^"]+)"', (ROOT / "aggregator" / "aggregator_metrics.c").read_text()))
    trouble = (ROOT / "consumer" / "worker_trouble.c").read_text()
    known |= {text + ":" for text in re.findall(r'"(a batch is not stored|reading cannot begin|a batch waits for a lock)', trouble)}
    refusal = (ROOT / "consumer" / "worker_refusal.c").read_text()
    known |= {text + ":" for text in re.findall(r'"(Kafka does not let this (?:login|worker) [^"]+)"', refusal)}
    assert len(known) == 14 and known <= written, known - written
    assert written <= known, written - known
