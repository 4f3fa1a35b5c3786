"""Files that nobody here wrote, imported as a user would: rows and their days equal an independent count (Python's csv and json).

They are those of the npm package vega-datasets (3.2.1): `npm pack vega-datasets && tar -xzf vega-datasets-*.tgz`, then
TALLYMILL_REAL_FILES=package/data tests/run integration -- -k real_file. Without the variable they are skipped: their data is not ours to hand on.
"""

import collections
import csv
import datetime
import json
import os
import pathlib

import pytest

FOLDER = os.environ.get("TALLYMILL_REAL_FILES")
SLASHES = ("--time-format", "%Y/%m/%d %H:%M", "--time-format", "%Y/%m/%d %H:%M:%S", "--time-zone", "UTC")

# file: (field of the time, how Python reads it, what the user says)
FILES = {
    "github.csv": ("time", "%Y/%m/%d %H:%M:%S", SLASHES),
    "birdstrikes.csv": ("Flight Date", "%Y-%m-%d", ("--map", "event_name=Effect Amount of damage", "--time-zone", "UTC")),
    "seattle-weather-hourly-normals.csv": ("date", "%Y-%m-%dT%H:%M:%S", ("--time-zone", "UTC")),
    "stocks.csv": ("date", "%b %d %Y", ("--map", "event_name=symbol", "--time-format", "%b %d %Y", "--time-zone", "UTC")),
    "flights-2k.json": ("date", "%Y/%m/%d %H:%M", SLASHES),
    "unemployment-across-industries.json": ("date", "%Y-%m-%dT%H:%M:%S.%fZ", ("--map", "event_name=series")),
    "la-riots.csv": ("death_date", "%Y-%m-%d", ("--map", "event_name=type", "--time-zone", "UTC")),
}


def days_of(path, field, form):
    """The independent count: rows of each day."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        records = json.load(file) if path.suffix == ".json" else list(csv.DictReader(file))
    return collections.Counter(datetime.datetime.strptime(record[field], form).date() for record in records if record[field])


@pytest.mark.skipif(FOLDER is None, reason="TALLYMILL_REAL_FILES names no folder")
@pytest.mark.parametrize("name", FILES)
def test_a_real_file_becomes_as_many_rows_a_day_as_it_has(make_site, name):
    field, form, words = FILES[name]
    path = pathlib.Path(FOLDER).resolve() / name
    site = make_site(**{"window.oldest": "1900-01-01"})
    named = () if any(word.startswith("event_name=") for word in words) else ("--const", "event_name=imported")
    site.must("tallymill-produce", path, *named, *words, "--map", f"created_at={field}", "--rest", "event_data")
    site.drain(180)
    site.fold()
    expected = days_of(path, field, form)
    rows = dict(site.database.rows("SELECT (created_at AT TIME ZONE 'UTC')::date, count(*) FROM analytics_events GROUP BY 1"))
    assert rows == expected and sum(rows.values()) > 0
    counted = dict(site.database.rows("SELECT date, sum(event_count)::int FROM analytics_daily_stats GROUP BY 1"))
    assert counted == expected
