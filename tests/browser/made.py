"""What the pages of the browser tests show: generated events, and names and values that a page might run."""

import random

from integration.harness.publisher import event, now_us

DAY_US = 86_400_000_000
HOSTILE = ["<script>window.ran=1</script>", "<img src=x onerror=window.ran=1>", "\u202egnissecorp", "=cmd|' /C calc'!A0", "e" + "\u0301" * 90, "a" * 100, "'; DROP TABLE x; --", "${7*7}{{7*7}}"]


def generated(make_site, days=14, count=40_000, texts=tuple(HOSTILE), **settings):
    """Days of generated events, internal users and late events among them, and names and values that a page might run."""
    site = make_site(**{"rollups.dir": "", "uniques.subjects": "", **settings})
    done = site.produce("--generate", str(count), "--days", str(days), "--seed", "7")
    assert done.code == 0, done
    source = random.Random(3)
    today = now_us() // DAY_US * DAY_US
    for number, text in enumerate(texts * 6):
        site.publisher.send(event(text if number < len(texts) else "doc_generation", created_us=today - source.randrange(1, days) * DAY_US - number, event_category="usage", session_id=text,
                                  is_internal=number % 5 == 0, event_data={"doc_type": text, "language": text, "success": True, "error_type": text}))
        site.publisher.send(event("error", created_us=today - DAY_US - number, event_category="system", session_id=text, event_data={"error_type": text}))
    site.publisher.flush()
    site.drain(deadline=180)
    site.fold(deadline=300)
    return site
