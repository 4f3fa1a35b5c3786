#!/usr/bin/python3
"""Write the Grafana dashboard, tallymill.json: make.py [--check]. With --check nothing is written, and exit code 1 says that the file is not what would be.

A row of PANELS is: title, unit of Grafana's, width (of 24), [(expression of Prometheus, legend)]. **Untried in Grafana**: tests see that the JSON is
whole, that Prometheus parses each expression, and that it names metrics of ours. `$job` chooses which pipeline, where Prometheus watches several.
"""

import json
import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).resolve().parent / "tallymill.json"
C, A = "tallymill_consumer_", "tallymill_aggregator_"
LEADER = A + "leader"

PANELS = [
    ("Is it well?", None, 24, []),
    ("Lag, worst topic partition", "s", 6, [(f"max({C}lag_seconds)", "lag")]),
    ("Statistics behind", "s", 6, [(f"max({A}freshness_seconds)", "behind")]),
    ("Events stored", "cps", 6, [(f"sum(rate({C}rows_total[1m]))", "rows")]),
    ("Who leads", "short", 6, [(f"sum({LEADER})", "leaders")]),
    ("Workers", None, 24, []),
    ("Lag by topic partition", "s", 12, [(f"max by (topic_partition) ({C}lag_seconds)", "{{topic_partition}}")]),
    ("Offsets not stored yet", "short", 12, [(f"max by (topic_partition) ({C}lag_offsets)", "{{topic_partition}}")]),
    ("Events stored by worker", "cps", 12, [(f"sum by (instance) (rate({C}rows_total[1m]))", "{{instance}}")]),
    ("Time of a commit", "s", 12, [(f"histogram_quantile({q}, sum by (le) (rate({C}commit_seconds_bucket[5m])))", f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)]),
    ("Dead letters by reason", "cps", 12, [(f"sum by (reason) (rate({C}dead_letters_total[5m])) > 0", "{{reason}}")]),
    ("Duplicates, gaps, offsets without a message", "cps", 12, [(f"sum(rate({C}{name}_total[5m]))", name) for name in ("duplicates", "gaps", "skipped")]),
    ("Batches that had to go again, by SQLSTATE class", "cps", 12, [(f"sum by (class) (rate({C}retries_total[5m])) > 0", "{{class}}")]),
    ("Topic partitions: there, read, stopped", "short", 12, [(f"max({C}topic_partitions)", "there"), (f"sum({C}topic_partitions_assigned)", "read"), (f"sum({C}topic_partitions_stopped)", "stopped")]),
    ("Memory of the workers", "bytes", 12, [(f"{C}resident_bytes", "{{instance}}"), (f"max({C}memory_max_bytes)", "memory.max")]),
    ("Fetched and not taken yet", "bytes", 12, [(f"{C}queue_bytes", "{{instance}}")]),
    ("Statistics", None, 24, []),
    ("Where a cycle's time goes", "percentunit", 12, [(f"sum by (step) (rate({A}step_seconds_total[5m]))", "{{step}}")]),
    ("Batches and days that wait", "short", 12, [(f"max({A}batches_waiting)", "batches"), (f"max({A}statistics_dirty)", "days")]),
    ("Rollups: due, and for how long", "s", 12, [(f"max({A}rollup_age_seconds)", "due for"), (f"max({A}rollup_left_seconds)", "left at this pace")]),
    ("Rollups that fail", "cps", 12, [(f"sum(rate({A}rollup_failures_total[15m]))", "failures")]),
    ("Ledger", "short", 12, [(f"max({A}ledger_rows)", "rows")]),
    ("Memory of the aggregator", "bytes", 12, [(f"{A}resident_bytes", "{{instance}}"), (f"max({A}memory_max_bytes)", "memory.max")]),
    ("Growth", None, 24, []),
    ("Table and indexes", "bytes", 8, [(f"max({A}table_bytes)", "analytics_events")]),
    ("Events yesterday", "short", 8, [(f"max({A}events_per_day)", "events")]),
    ("Months ahead", "short", 8, [(f"max({A}months_ahead)", "months")]),
    ("Room on the disk", "bytes", 12, [(f"max({A}disk_free_bytes)", "free"), (f"max({A}disk_bytes)", "in all")]),
    ("How long it lasts", "s", 12, [(f"max({A}disk_left_seconds)", "left at this growth")]),
    ("Proof", None, 24, []),
    ("Age of the last audit and verify", "s", 12, [("time() - tallymill_audit_last_run_timestamp_seconds", "audit"), ("time() - tallymill_verify_last_run_timestamp_seconds", "verify")]),
    ("What they found", "short", 12, [("tallymill_audit_damages", "damages"), ("tallymill_verify_differences", "differences")]),
]


def chosen(expression):
    """Only the jobs that are chosen above the panels: each metric of a service gets the label. What the commands leave behind comes by the node exporter's job."""
    return re.sub(r"tallymill_(?:consumer|aggregator)_\w+", lambda name: name.group() + '{job=~"$job"}', expression)


def panel(number, place, title, unit, width, queries):
    made = {"id": number, "title": title, "gridPos": place, "type": "timeseries" if queries else "row"}
    if not queries:
        return {**made, "collapsed": False, "panels": []}
    source = {"type": "prometheus", "uid": "${source}"}
    return {**made, "datasource": source, "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 5}}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}},
            "targets": [{"refId": chr(ord("A") + i), "datasource": source, "expr": chosen(expression), "legendFormat": legend} for i, (expression, legend) in enumerate(queries)]}


def dashboard():
    panels, x, y, height = [], 0, 0, 8
    for number, (title, unit, width, queries) in enumerate(PANELS, 1):
        tall = height if queries else 1
        if x + width > 24:
            x, y = 0, y + height
        if not queries and x > 0:
            x, y = 0, y + height
        panels.append(panel(number, {"x": x, "y": y, "w": width, "h": tall}, title, unit, width, queries))
        x += width
        if x >= 24:
            x, y = 0, y + tall
    variables = [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                 {"name": "job", "type": "query", "label": "Job", "multi": True, "includeAll": True, "refresh": 1, "datasource": {"type": "prometheus", "uid": "${source}"},
                  "query": {"query": 'label_values({__name__=~"tallymill_.*_info"}, job)', "refId": "job"}}]
    return {"uid": "tallymill", "title": "Tallymill", "tags": ["tallymill"], "schemaVersion": 38, "version": 1, "editable": True, "graphTooltip": 1, "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"}, "timezone": "utc", "templating": {"list": variables}, "panels": panels}


def main(words):
    text = json.dumps(dashboard(), indent=1) + "\n"
    if words[1:] == ["--check"]:
        return int(not PAGE.exists() or PAGE.read_text() != text)
    if words[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
