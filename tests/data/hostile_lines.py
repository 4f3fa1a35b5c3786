"""What must become of hostile messages and settings, line by line, and which inputs stand for each line.

Of each line: what is sent, the one right outcome (with the settings named, where not the default ones), and the inputs: patterns of file names of hostile/,
or with a `+` inputs that test_hostile_table.py makes. Kinds of outcomes: OK, DL:reason, or what the input's own judge answers.
"""

import re

LINES = r"""
Framing
  an empty value                                                        DL:empty                        empty
  no value (a tombstone)                                                DL:tombstone                    +tombstone
  the reserved byte c1                                                  DL:format                       format-*
  array and map that declare up to 4 G items                            DL:count                        count-*g-* count-64k-*
  text, bytes and ext that declare 4 GB                                 DL:truncated                    truncated-4g-*
  every prefix of a valid event                                         DL:truncated                    +prefix-*
  a valid event and one byte more, two events in one value              DL:trailing                     trailing-*
  17, 33 and 100,000 levels deep                                        DL:depth                        depth-*
  as deep as is allowed                                                 OK                              ok-depth-*
  65,536 tiny pairs, 100,000 empty arrays                               DL:count|size                   count-65536-* count-100000-*
  20,000 empty arrays                                                   OK                              ok-20000-*
  integers and headers longer than they need be                         OK                              ok-longer-*
  data of exactly the limit                                             OK                              ok-event-data-of-exactly-*
  data or value beyond the limit                                        DL:size                         size-*
  the root is an array, a number, text, nil                             DL:root                         root-array root-bin root-empty* root-float root-int root-nil root-str root-t*
  JSON text                                                             DL:root                         root-json-text
  gzip, random bytes                                                    DL:*                            root-gzip random-*
Keys and shape
  a key twice, with the same or another value, at the top or nested     DL:dup_key                      dup_key-*
  the same key on different levels                                      OK                              ok-same-key-*
  a key that is a number, nil, an array, NaN                            DL:key_type                     key_type-*
  an empty key                                                          DL:key                          key-*
  a key of 70,000 bytes                                                 DL:key_len|size                 key_len-*
  a key of 60,000 bytes                                                 OK                              ok-key-of-60000
  a NUL in a key                                                        DL:nul                          nul-in-a-key*
  each required field missing or nil                                    DL:missing                      missing-*
  each other field nil                                                  OK                              ok-nil-*
  event_data an empty array (PHP, Lua)                                  OK                              ok-empty-array-*
  event_data a filled array                                             DL:type                         type-event_data-array*
  each field with each wrong type                                       DL:type                         type-[!tu]* type-user_id-*
  an unknown key                                                        OK                              ok-unknown-key* ok-extra-*
  an unknown key, wire.unknown_key=reject                               DL:unknown_key                  strict:ok-unknown-key*
  a version above 1                                                     DL:version                      version-*
  version 1                                                             OK                              ok-version-1
  an event that the catalogue does not know                             OK                              ok-event-name-not-* ok-category-of-an-unknown-*
  an event that it does not know, catalogue.unknown=reject              DL:unknown_event                strict:ok-event-name-not-* strict:ok-category-of-an-unknown-*
  a category that contradicts the catalogue                             DL:category                     category-*
  a category that agrees with it                                        OK                              ok-category-agrees
  an attribute or value against the catalogue                           OK                              ok-enum-* ok-attribute-*
  an attribute against it, catalogue.attributes=reject                  DL:schema                       strict:ok-enum-value-not-* strict:ok-attribute-*
  __proto__ and constructor as keys                                     OK                              ok-prototype-keys
Text
  bytes that are no UTF-8, of every kind                                DL:utf8                         utf8-*
  a NUL in a text                                                       DL:nul                          nul-in-[!a]*
  the characters \u0000 and \ud800                                      OK                              ok-text-escape-u*
  \. \N, tab, newline, backslash, quotes                                OK                              ok-text-copy-* ok-text-tab* ok-text-newline* ok-text-backslash* ok-text-quotes*
  BOM, U+FFFE, private use, right to left, 1,000 marks, ZWJ emoji       OK                              ok-text-bom* ok-text-non* ok-text-private* ok-text-right* ok-text-combining* ok-text-zwj*
  text one byte over its column's limit, or empty                       DL:len                          len-*
  text of exactly its limit                                             OK                              ok-len-*
  SQL, printf, template and HTML snippets                               OK                              ok-text-sql* ok-text-printf* ok-text-template* ok-text-html*
  CR LF, terminal escapes, control characters                           OK                              ok-text-cr-lf* ok-text-terminal* ok-text-control*
  empty and long texts in event_data                                    OK                              ok-text-empty ok-text-long
  a text that no log line is broken by                                  one line each                   +log-lines
Numbers
  the least and greatest int64                                          OK                              ok-number-int64-* ok-user-int64-max ok-user-0
  uint64 from 2^63 on in a typed field                                  DL:range                        range-user-2-63 range-user-uint64-max
  uint64 from 2^63 on in event_data                                     OK                              ok-number-uint64-*
  a negative user_id                                                    DL:range                        range-user-minus-1 range-user-int64-min
  a float or a text where an integer is due                             DL:type                         type-user-*
  NaN and infinity anywhere                                             DL:nonfinite                    nonfinite-*
  -0.0, subnormal, 1.7e308                                              OK                              ok-number-minus-zero ok-number-subnormal ok-number-least-normal ok-number-1.7e308 ok-number-zero ok-number-negative-fixint
  float32 and float64                                                   OK                              ok-number-float*
  2^53 + 1 in event_data                                                OK                              ok-number-2-53-plus-1 ok-number-minus-2-53-minus-1
Time
  none                                                                  DL:missing                      missing-created_at missing-nil-created_at
  0, -1, s, ms or ns for us, too old, year 148138, int64 least, most    DL:ts_range                     ts_range-*
  the same, window.policy=clamp                                         OK                              clamp:ts_range-0 clamp:ts_range-minus-1 clamp:ts_range-in-m* clamp:ts_range-in-n* clamp:ts_range-in-s* clamp:ts_range-just-* clamp:ts_range-year-* clamp:ts_range-int64-*
  now and 25 hours                                                      DL:ts_range                     +tomorrow
  inside an archived month                                              DL:archived_month               +archived
  the last microsecond of a month, the first of the next                OK                              ok-time-last-* ok-time-first-*
  both sides of UTC midnight, DST nights                                OK                              ok-time-before-* ok-time-at-* ok-time-after-* ok-time-dst-*
  timestamp ext 32, 64, 96                                              OK                              ok-time-ext* ok-time-int-* ok-timestamps-*
  nanoseconds from 1e9 on                                               DL:ts_range                     ts_range-ext-*-nanoseconds-*
  a date as text, a float                                               DL:type                         type-time-*
Ext and identity
  other ext types, ext of no length                                     DL:ext                          ext-*
  id nil                                                                DL:missing|id                   missing-nil-id
  id of 15 or 17 bytes, all zero, text that is no UUID                  DL:id                           id-*
  id as text, of version 4, all ones                                    OK                              ok-id-*
  (id, created_at) twice in a batch, same or other body                 the second: duplicate           +twice-same +twice-other
  (id, created_at) again, later                                         the second: duplicate           +later
  the same id, another created_at                                       OK                              +other-time
Kafka's envelope
  no key                                                                OK                              +no-key
  a key of 1 MB                                                         DL:size                         +large-key
  1,000 headers, NUL in a header                                        OK                              +headers +nul-header
  record timestamp -1 or in 2100                                        OK                              +record-time-*
  each codec                                                            OK                              +codec-*
  a batch that unpacks 1,000:1                                          OK                              +unpacks-*
  aborted transactions, markers                                         skipped                         +aborted
  compacted gaps                                                        skipped                         +compacted
  10,000 events in batches of 100, a bad one at each position           9,900 rows, 100 dead letters    +positions
Settings
  an unknown key                                                        exit 2, names it                +set-unknown
  a bad unit                                                            exit 2, names it                +set-unit
  a value out of range                                                  exit 2, names it                +set-range
  a secret file that cannot be read                                     exit 2, names it                +set-secret
  a line of 2,000 bytes                                                 OK                              +set-long
  a kafka.* key that is forced                                          exit 2, names it                +set-forced
"""


def lines():
    """(section, line, outcome, patterns) of each line."""
    section = None
    for text in filter(None, LINES.splitlines()):
        if not text.startswith(" "):
            section = text
            continue
        said, outcome, patterns = re.split(r"\s{2,}", text.strip())
        yield section, said, outcome, patterns.split()
