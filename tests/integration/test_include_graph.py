"""Which folder stands on which: no include points up, none leads back to where it came from (lib/include_graph.py prints the graph)."""

import shutil
import sys

import pytest

from .harness.program import ROOT

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import include_graph  # noqa: E402


def test_no_include_points_up_or_around():
    graph = include_graph.nodes()
    assert len(graph) > 200
    assert include_graph.arrows_up(graph) == []
    assert include_graph.circles(graph) == []


@pytest.mark.parametrize("file, included", [("common/error.c", "consumer/batch.h"), ("producer/library/ring.c", "producer/import/csv.h"),
                                            ("producer/generate/people.c", "producer/import/csv.h"), ("consumer/batch.c", "aggregator/cycle.h")])
def test_an_arrow_that_points_up_is_seen(tmp_path, file, included):
    for folder in ("common", "consumer", "aggregator", "producer"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    with open(tmp_path / file, "a") as more:
        more.write(f'\n#include "{included}"\n')
    assert include_graph.arrows_up(include_graph.nodes(tmp_path)) == [(file[:-2], included[:-2])]


def test_a_circle_is_seen(tmp_path):
    shutil.copytree(ROOT / "common", tmp_path / "common")
    with open(tmp_path / "common" / "error.h", "a") as more:
        more.write('\n#include "common/log.h"\n')
    assert any("common/error" in group for group in include_graph.circles(include_graph.nodes(tmp_path)))
