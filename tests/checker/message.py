"""What one Kafka message must look like once it is stored, worked out from the wire rules alone.

`expected_row` gives the row that the message's value stands for, or raises Malformed with the reason why no
row may come of it.  Written against the wire format, with an unpacker that is not ours: if this and the
product's reader agree, it is not because they share a mistake in code.

Rules that depend on settings (accepted window, catalogue, sizes) are left out on purpose: the checker must
never call a dead letter wrong that a setting made right.  It only judges what no setting can change.

msgpack's unpacker forgets whether a float had 32 or 64 bits, and the two print differently (0.1 against
0.10000000149011612).  So a message that holds the byte 0xCA anywhere is unpacked once more by `exact.unpack`,
which is slower and remembers.
"""

import base64
import datetime
import json
import math
import re
import uuid
from decimal import Decimal
from typing import NamedTuple, Optional

import msgpack

from checker import exact

# The plan's own table of 18 events, typed in from the plan and not read from the product's catalogue.
CATEGORIES = {
    "workflow": ("session_start", "code_input", "generation_started", "generation_completed", "doc_export"),
    "business": ("login", "signup", "trial", "tier_change", "checkout_completed", "usage_alert"),
    "usage": ("doc_generation", "batch_generation", "quality_score", "oauth_flow", "user_interaction"),
    "system": ("error", "performance"),
}
CATEGORY_OF = {name: category for category, names in CATEGORIES.items() for name in names}

# Reasons that no setting, month or server can bring about: the checker may contradict them.
BEYOND_SETTINGS = frozenset((
    "empty", "tombstone", "format", "count", "truncated", "trailing", "depth", "root", "dup_key", "key_type",
    "key", "nul", "missing", "type", "utf8", "len", "nonfinite", "range", "ext", "id", "version"))

KNOWN_KEYS = frozenset((
    "id", "event_name", "event_category", "session_id", "user_id", "event_data", "is_internal", "created_at", "v"))
MAX_LEVELS = 16
MAX_INT64 = 2**63 - 1
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
EPOCH = datetime.datetime(1970, 1, 1)


class Malformed(Exception):
    """The message can never become a row; `reason` is the code that the dead letter should bear."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class Row(NamedTuple):
    """The columns of analytics_events that an event decides; created_at in microseconds since the epoch."""
    id: str
    created_us: int
    event_name: str
    event_category: Optional[str]
    session_id: Optional[str]
    user_id: Optional[int]
    is_internal: bool
    event_data: dict

    def key(self):
        return self.id, self.created_us


def expected_row(value):
    """The Row that the message's value (bytes, or None for a tombstone) must become; raises Malformed."""
    if value is None:
        raise Malformed("tombstone")
    if not value:
        raise Malformed("empty")
    event = unpack(value)
    if type(event) is not dict:
        raise Malformed("root")
    name = text(event, "event_name", 100)
    if name is None:
        raise Malformed("missing")
    category = text(event, "event_category", 50)
    return Row(
        id=identity(event),
        created_us=instant(event),
        event_name=name,
        event_category=CATEGORY_OF.get(name) if category is None else category,
        session_id=text(event, "session_id", 255),
        user_id=user(event),
        is_internal=flag(event, "is_internal"),
        event_data=data(event),
    )


def unpack(value):
    """The value as Python objects; every map a dict with checked string keys."""
    try:
        event = msgpack.unpackb(value, raw=False, strict_map_key=False, timestamp=0,
                                object_pairs_hook=checked_map, ext_hook=foreign_ext)
        return exact.unpack(value, checked_map, foreign_ext) if b"\xca" in value else event
    except msgpack.ExtraData:
        raise Malformed("trailing") from None
    except msgpack.FormatError:
        raise Malformed("format") from None
    except msgpack.StackError:
        raise Malformed("depth") from None
    except UnicodeDecodeError:
        raise Malformed("utf8") from None
    except (ValueError, OverflowError):
        raise Malformed("truncated") from None


def checked_map(pairs):
    result = {}
    for key, value in pairs:
        if type(key) is not str:
            raise Malformed("key_type")
        if not key:
            raise Malformed("key")
        if "\0" in key:
            raise Malformed("nul")
        if key in result:
            raise Malformed("dup_key")
        result[key] = value
    return result


def foreign_ext(_code, _payload):
    raise Malformed("ext")


def text(event, key, most_bytes):
    value = event.get(key)
    if value is None:
        return None
    if type(value) is not str:
        raise Malformed("type")
    if "\0" in value:
        raise Malformed("nul")
    if not 1 <= len(value.encode()) <= most_bytes:
        raise Malformed("len")
    return value


def identity(event):
    value = event.get("id")
    if value is None:
        raise Malformed("id" if "id" in event else "missing")
    if type(value) is bytes and len(value) == 16:
        found = uuid.UUID(bytes=value)
    elif type(value) is str and UUID_TEXT.fullmatch(value):
        found = uuid.UUID(value)
    else:
        raise Malformed("id" if type(value) in (bytes, str) else "type")
    if found.int == 0:
        raise Malformed("id")
    return str(found)


def instant(event):
    value = event.get("created_at")
    if value is None:
        raise Malformed("missing")
    if type(value) is msgpack.Timestamp:
        return value.seconds * 1_000_000 + value.nanoseconds // 1000
    if type(value) is not int:
        raise Malformed("type")
    return value


def user(event):
    value = event.get("user_id")
    if value is None:
        return None
    if type(value) is not int:
        raise Malformed("type")
    if not 0 <= value <= MAX_INT64:
        raise Malformed("range")
    return value


def flag(event, key):
    value = event.get(key)
    if value is None:
        return False
    if type(value) is not bool:
        raise Malformed("type")
    return value


def data(event):
    """event_data as JSON will hold it, with what no column takes kept under _extra."""
    version = event.get("v")
    if version is not None:
        if type(version) is not int:
            raise Malformed("type")
        if version > 1:
            raise Malformed("version")
    value = event.get("event_data")
    if value is None or value == []:  # what PHP and Lua make of an empty map
        value = {}
    if type(value) is not dict:
        raise Malformed("type")
    stored = as_json(value, 1)
    extra = {key: as_json(event[key], 3) for key in event if key not in KNOWN_KEYS}
    if extra:
        if "_extra" in stored:
            raise Malformed("dup_key")
        stored["_extra"] = extra
    return stored


def as_json(value, level):
    """One value inside event_data as JSONB gives it back: numbers as int or Decimal, never as float."""
    kind = type(value)
    if kind is str:
        if "\0" in value:
            raise Malformed("nul")
        return value
    if kind is int or kind is bool or value is None:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise Malformed("nonfinite")
        return Decimal(repr(value))
    if kind is exact.Float32:
        if not math.isfinite(value.number):
            raise Malformed("nonfinite")
        return Decimal(value.shortest())
    if kind is bytes:
        return base64.b64encode(value).decode()
    if kind is msgpack.Timestamp:
        return rfc3339(value)
    if level > MAX_LEVELS:
        raise Malformed("depth")
    if kind is dict:
        return {key: as_json(item, level + 1) for key, item in value.items()}
    return [as_json(item, level + 1) for item in value]


def rfc3339(stamp):
    micros = stamp.seconds * 1_000_000 + stamp.nanoseconds // 1000
    try:
        moment = EPOCH + datetime.timedelta(microseconds=micros)
    except OverflowError:
        raise Malformed("ts_range") from None
    shown = moment.isoformat(timespec="microseconds" if micros % 1_000_000 else "seconds")
    return (shown.rstrip("0") if "." in shown else shown) + "Z"


def from_jsonb(stored):
    """JSONB's text as Python objects that `same` can compare: no number goes through a float."""
    return json.loads(stored, parse_float=Decimal)


def same(sent, stored):
    """Whether two values of as_json and from_jsonb are the same JSON; 1, 1.0 and true are told apart from true only."""
    kind = type(sent)
    if kind is bool or sent is None or kind is str:
        return type(stored) is kind and sent == stored
    if kind is dict:
        return type(stored) is dict and sent.keys() == stored.keys() and \
            all(same(item, stored[key]) for key, item in sent.items())
    if kind is list:
        return type(stored) is list and len(sent) == len(stored) and all(map(same, sent, stored))
    return type(stored) in (int, Decimal) and sent == stored
