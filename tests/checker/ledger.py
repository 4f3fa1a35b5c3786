"""I3, the books against themselves and against Kafka's offsets: tiling and accounting.

For each topic partition the ranges of batches and gaps must tile [0, next_offset) without hole or overlap, each
range must account for every offset in it, and nothing may be claimed that the topic does not have.  Whether the
rows behind the counts are there, and are the right ones, is outcomes.py's question.
"""

from collections import defaultdict


def check_ledger(verdict, books, logs, drained):
    """Adds the damages of I3 that the ledger and the offsets alone can show; `drained`: nothing may be left unread."""
    segments = defaultdict(list)
    for segment in books.ranges + books.gaps:
        segments[segment.topic_partition].append(segment)
    next_offsets = {}
    for number in sorted(segments.keys() | logs.keys() | books.positions.keys()):
        next_offsets[number] = _check_tiling(verdict, number, segments[number])
        _check_end(verdict, number, next_offsets[number], books.positions.get(number), logs.get(number), drained)
    for span in books.ranges:
        _check_account(verdict, span, logs.get(span.topic_partition))
    return next_offsets


def _check_tiling(verdict, number, segments):
    cursor = 0
    for segment in sorted(segments, key=lambda s: (s.first_offset, s.next_offset)):
        if segment.next_offset <= segment.first_offset:
            verdict.damage("I3", "empty range", segment)
        if segment.first_offset > cursor:
            verdict.damage("I3", "hole", f"{number}@[{cursor},{segment.first_offset}) before {segment}")
        elif segment.first_offset < cursor:
            verdict.damage("I3", "overlap", f"{number}@[{segment.first_offset},{min(cursor, segment.next_offset)})"
                                            f" claimed again by {segment}")
        cursor = max(cursor, segment.next_offset)
    return cursor


def _check_end(verdict, number, next_offset, position, log, drained):
    if (position or 0) != next_offset:
        verdict.damage("I3", "position", f"{number}: positions says {position}, the ledger ends at {next_offset}")
    if log is None:
        verdict.damage("I3", "unknown topic partition", f"{number} is in the ledger and not in Kafka")
    elif next_offset > log.end:
        verdict.damage("I3", "beyond the end", f"{number}: ledger at {next_offset}, topic ends at {log.end}")
    elif drained and next_offset < log.end:
        verdict.damage("I3", "not drained", f"{number}: ledger at {next_offset}, topic ends at {log.end}")


def _check_account(verdict, span, log):
    counts = (span.stored, span.duplicates, span.dead_letters, span.skipped)
    if min(counts) < 0:
        verdict.damage("I3", "negative count", f"{span}: {counts}")
    if sum(counts) != span.next_offset - span.first_offset:
        verdict.damage("I3", "account", f"{span}: {span.next_offset - span.first_offset} offsets, but stored"
                       " %d + duplicates %d + dead letters %d + skipped %d" % counts)
    if log is None or span.first_offset < log.low or span.next_offset > log.end:
        return  # Kafka can no longer (or never could) say
    delivered = log.delivered(span.first_offset, span.next_offset)
    if span.next_offset - span.first_offset - delivered != span.skipped:
        verdict.damage("I3", "skipped", f"{span}: skipped {span.skipped}, but Kafka delivers {delivered} of its offsets")
