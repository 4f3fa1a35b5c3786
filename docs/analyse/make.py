#!/usr/bin/env python3
"""The pages of the tools, made from queries.md (Postgres's SQL, psql's variables) and duckdb.md (SQL over exported files).

    docs/analyse/make.py            writes metabase.md, superset.md, grafana.md, bigquery.md and snowflake.md
    docs/analyse/make.py --check    exit code 1 where one is not what it would write

A tool differs by how it names the first and the last day of the range and, of the warehouses, by a few functions; nothing else of a query is changed.
"""

import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
BLOCK = re.compile(r"```sql (\w+)\n(.*?)```", re.DOTALL)
LOGIN = "as `analyst` (a login with `tallymill_read`: [analyse.md](../analyse.md))"

METABASE = f"""# Metabase: the plan's queries

**Untried in Metabase**; each query is run by Postgres with the variables filled in as Metabase's manual says.

Admin, Databases, Add: PostgreSQL, {LOGIN}. Schemas: only `public`. Admin, Localization: report time zone UTC, for days are UTC. New, SQL query: paste one, and give
both variables (`first`, `last`) the type Date; a dashboard's date filters are wired to them.
"""

SUPERSET = f"""# Superset: the plan's queries

**Untried in Superset**; each query is run by Postgres with the templates filled in as Superset's manual says.

Settings, Database connections, +: PostgreSQL, {LOGIN}: `postgresql+psycopg2://analyst:PASSWORD@db/tallymill`. SQL Lab: paste one, Save as dataset, and chart it. `ENABLE_TEMPLATE_PROCESSING` must be on
in `superset_config.py` (FEATURE_FLAGS): the range of the chart or dashboard fills in `from_dttm` and `to_dttm`, the second of which is no more in the range. In SQL Lab itself, where there is none, write days in their place.
"""

GRAFANA = f"""# Grafana: the plan's queries

**Untried in Grafana**; each query is run by Postgres with the macros filled in as Grafana's manual says.

Connections, Add: PostgreSQL, {LOGIN}, time zone of dashboards UTC. A panel, Code: paste one, Format: Table; those that begin with `time` also as Time series (`counts` then has a line a name: the transformation
Partition by values, `event_name`). The dashboard's range picks the days, whole ones. Figures of the services themselves are Prometheus's: [`deploy/grafana/tallymill.json`](../../deploy/grafana/tallymill.json).
"""

BIGQUERY = f"""# BigQuery: the plan's queries

**Untried in BigQuery.** The federated queries are run by Postgres as they stand between the quotes; those over loaded files are translated (by sqlglot) and run by DuckDB over the same files (`tests/run analyse`).

## Federated: Postgres answers

A connection of type Cloud SQL or AlloyDB, {LOGIN}; `PROJECT.REGION.CONNECTION` is its name. Nothing is copied; what is asked is small.
"""

BIGQUERY_FILES = """
## Loaded: BigQuery answers

Export as [duckdb.md](duckdb.md) says, with `--compress gzip`, and load; a month that changed is loaded again, whole (`--replace` with a table for each month, or DELETE first).

    bq mk --dataset analytics
    bq load --source_format=NEWLINE_DELIMITED_JSON analytics.analytics_events export/events-2026-11.ndjson.gz \\
      id:STRING,event_name:STRING,event_category:STRING,session_id:STRING,user_id:INT64,event_data:JSON,is_internal:BOOL,created_at:TIMESTAMP
    bq load --autodetect --source_format=CSV --allow_quoted_newlines analytics.analytics_daily_stats export/daily.csv
    bq load --autodetect --source_format=CSV --allow_quoted_newlines analytics.analytics_daily_funnel export/funnel.csv
    bq load --autodetect --source_format=CSV --allow_quoted_newlines analytics.analytics_daily_breakdowns export/breakdowns.csv
    bq load --autodetect --source_format=CSV --allow_quoted_newlines analytics.analytics_daily_conversions export/conversions.csv

Fields that the list does not name (`--ignore_unknown_values`) are left out. The default dataset of the query is `analytics`.
"""

SNOWFLAKE = """# Snowflake: the plan's queries

**Untried in Snowflake**: the queries are translated (by sqlglot) and run by DuckDB over the same files (`tests/run analyse`); the statements that load follow Snowflake's manual.

Export as [duckdb.md](duckdb.md) says, and load with `snowsql`. A closed day changes only by late events, so load the last months again: `DELETE` their rows, then `COPY` with `FORCE = TRUE`.

    CREATE STAGE tallymill;
    PUT file://export/*.ndjson.gz @tallymill AUTO_COMPRESS = FALSE;
    PUT file://export/*.csv @tallymill;
    CREATE TABLE analytics_events (id VARCHAR, event_name VARCHAR, event_category VARCHAR, session_id VARCHAR, user_id NUMBER(19), event_data VARIANT, is_internal BOOLEAN, created_at TIMESTAMP_NTZ);
    COPY INTO analytics_events FROM (
      SELECT $1:id::VARCHAR, $1:event_name::VARCHAR, $1:event_category::VARCHAR, $1:session_id::VARCHAR, $1:user_id::NUMBER(19), $1:event_data, $1:is_internal::BOOLEAN,
             CONVERT_TIMEZONE('UTC', $1:created_at::TIMESTAMP_TZ)::TIMESTAMP_NTZ
      FROM @tallymill) PATTERN = '.*events-.*' FILE_FORMAT = (TYPE = JSON);
    CREATE FILE FORMAT daily TYPE = CSV PARSE_HEADER = TRUE FIELD_OPTIONALLY_ENCLOSED_BY = '"' EMPTY_FIELD_AS_NULL = TRUE;
    CREATE TABLE analytics_daily_stats USING TEMPLATE (
      SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) FROM TABLE(INFER_SCHEMA(LOCATION => '@tallymill/daily.csv.gz', FILE_FORMAT => 'daily', IGNORE_CASE => TRUE)));
    COPY INTO analytics_daily_stats FROM @tallymill/daily.csv.gz FILE_FORMAT = (FORMAT_NAME = daily) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;

The last two again for `analytics_daily_funnel` (funnel.csv.gz), `analytics_daily_breakdowns` and `analytics_daily_conversions`.
"""


def blocks(name):
    """[(heading, name, SQL), ...] of a page, but for what loads."""
    text = (FOLDER / name).read_text()
    found, heading = [], ""
    for part in re.finditer(r"^## ([^\n]+)$|" + BLOCK.pattern, text, re.DOTALL | re.MULTILINE):
        if part.group(1):
            heading = part.group(1)
        elif part.group(2) != "load":
            found.append((heading, part.group(2), part.group(3)))
    return found


def ranged(sql, first, last):
    return sql.replace(":'first'", first).replace(":'last'", last)


def of_metabase(sql):
    return ranged(sql, "{{first}}", "{{last}}")


def of_superset(sql):
    return ranged(sql, "'{{ from_dttm[:10] }}'::date", "('{{ to_dttm[:10] }}'::date - 1)")


def of_grafana(sql):
    return ranged(sql, "$__timeFrom()::date", "$__timeTo()::date").replace("SELECT date,", 'SELECT date AS "time",').replace("::date AS date,", '::date AS "time",')


def of_bigquery(sql):
    return f"SELECT * FROM EXTERNAL_QUERY('PROJECT.REGION.CONNECTION', '''\n{ranged(sql, repr('2026-11-01'), repr('2026-11-30')).rstrip().rstrip(';')}\n''');\n"


def of_bigquery_files(sql):
    sql = sql.replace("date_trunc('week', date)", "DATE_TRUNC(date, ISOWEEK)").replace("date_trunc('month', date)", "DATE_TRUNC(date, MONTH)")
    sql = re.sub(r"(\w+) ->> ('\$\.\w+')", r"JSON_VALUE(\1, \2)", sql)
    return re.sub(r"TIMESTAMP '([^']+)'", r"TIMESTAMP '\1+00'", sql)


def of_snowflake(sql):
    return re.sub(r"(\w+) ->> '\$\.(\w+)'", r"\1:\2::VARCHAR", sql)


def section(found, change, level="##", suffix=""):
    text, last = "", None
    for heading, name, sql in found:
        text += (f"\n{level} {heading}\n" if heading != last else "") + f"\n```sql {name}{suffix}\n{change(sql)}```\n"
        last = heading
    return text


def pages():
    ours, files = blocks("queries.md"), blocks("duckdb.md")
    made = {"metabase.md": METABASE + section(ours, of_metabase), "superset.md": SUPERSET + section(ours, of_superset), "grafana.md": GRAFANA + section(ours, of_grafana),
            "bigquery.md": BIGQUERY + section(ours, of_bigquery, "###") + BIGQUERY_FILES + section(files, of_bigquery_files, "###", "_files"),
            "snowflake.md": SNOWFLAKE + section(files, of_snowflake)}
    return {name: text.replace("\n\n\n", "\n\n") for name, text in made.items()}


def main(words):
    if words[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    if words[1:]:
        return int(any(not (FOLDER / name).exists() or (FOLDER / name).read_text() != text for name, text in pages().items()))
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
