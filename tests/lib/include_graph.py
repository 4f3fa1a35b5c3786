"""The include graph of the tree: which folder stands on which, and whether anything points back.

    tests/lib/include_graph.py             the folders, lowest first, with what each includes
    tests/lib/include_graph.py --files     each file's includes too

A folder may include those below it (BELOW says which), and no file's includes may lead back to it. A source and the header of its name are
one node, so that a pair of nouns that need each other shows up as a circle. Exit code 1: something points up or around, each named.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Who may include whom. Nobody else includes anybody.
BELOW = {
    "common": set(),
    "producer/library": {"common"},
    "producer/import": {"common", "producer/library"},
    "producer/generate": {"common", "producer/library"},
    "producer": {"common", "producer/library", "producer/import", "producer/generate"},
    "consumer": {"common"},
    "aggregator": {"common"},
    "operator": {"common"},
    "operator/dashboard": {"common", "operator"},
}
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def nodes(root=ROOT):
    """{node: {node that it includes, ...}}: a node is FOLDER/NAME without its ending."""
    graph, headers = {}, {}
    files = [path for folder in BELOW for path in sorted((root / folder).glob("*.[ch]"))]
    for path in files:
        node = str(path.relative_to(root).with_suffix(""))
        graph.setdefault(node, set())
        headers[str(path.relative_to(root))] = node
    for path in files:
        node = str(path.relative_to(root).with_suffix(""))
        for name in INCLUDE.findall(path.read_text()):
            for found in (name, str(path.parent.relative_to(root) / name), "common/" + name):
                if found in headers:
                    if headers[found] != node:
                        graph[node].add(headers[found])
                    break
    return graph


def folder_of(node):
    return node.rpartition("/")[0]


def arrows_up(graph):
    """[(file, what it must not include)]"""
    return sorted((node, other) for node, others in graph.items() for other in others
                  if folder_of(other) != folder_of(node) and folder_of(other) not in BELOW[folder_of(node)])


def circles(graph):
    """The groups of nodes of which each leads to each (Tarjan's strongly connected components of more than one node), without recursion's limits."""
    order, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(start):
        work = [(start, iter(sorted(graph[start])))]
        order[start] = low[start] = len(order)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, others = work[-1]
            other = next(others, None)
            if other is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    group = []
                    while not group or group[-1] != node:
                        group.append(stack.pop())
                        on_stack.discard(group[-1])
                    if len(group) > 1:
                        found.append(sorted(group))
            elif other not in order:
                order[other] = low[other] = len(order)
                stack.append(other)
                on_stack.add(other)
                work.append((other, iter(sorted(graph[other]))))
            elif other in on_stack:
                low[node] = min(low[node], order[other])

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return sorted(found)


def main():
    graph = nodes()
    for folder in BELOW:
        mine = [node for node in graph if folder_of(node) == folder]
        others = sorted({folder_of(other) for node in mine for other in graph[node]} - {folder})
        print(f"{folder}: {len(mine)} nouns, on {', '.join(others) or 'nothing of ours'}")
        if "--files" in sys.argv:
            for node in mine:
                print(f"    {node.rpartition('/')[2]}: {' '.join(sorted(graph[node])) or '-'}")
    wrong = [f"{node} includes {other}, which stands above it or beside it" for node, other in arrows_up(graph)]
    wrong += ["a circle: " + ", ".join(group) for group in circles(graph)]
    print("\n".join(wrong or ["no arrow points up, no circle"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
