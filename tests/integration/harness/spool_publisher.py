#!/usr/bin/python3
"""A program that publishes through libtallymill (by ctypes), to be killed and started again.

    spool_publisher.py LIBRARY BROKERS TOPIC IDS_FILE COUNT [KEY=VALUE ...]

The id of each event that tally_publish accepted is appended to IDS_FILE at once; KEY=VALUE are settings of the library. After COUNT events it
waits for up to a minute until everything has its fate, and prints the counts as JSON. Exit code 0: it has. What the library says (syslog's
levels 0 to 5) and why events were given up goes to stderr. SIGTERM: no more events. Not settings: text=N gives each event a text of N characters;
pause=S waits S seconds behind each event, so that the queue has room for as long as a test needs it.
"""

import ctypes
import json
import os
import signal
import sys
import time

OK, FULL = 0, 1
REST = 400  # tries, one every 5 ms


class Setting(ctypes.Structure):
    _fields_ = [("key", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Error(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("code", ctypes.c_int), ("text", ctypes.c_char * 512)]


Delivered = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
Log = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class Delivery(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("id", ctypes.c_void_p), ("error", ctypes.c_char_p)]  # its beginning


class Hooks(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("delivered", Delivered), ("log", Log), ("context", ctypes.c_void_p)]


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@Delivered
def delivered(_, delivery):
    error = Delivery.from_address(delivery).error
    if error:
        say("given up: " + error.decode())


@Log
def log(_, level, text):
    if level <= 5:
        say(text.decode(errors="replace"))


HOOKS = Hooks(ctypes.sizeof(Hooks), delivered, log, None)


class Counts(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + [(name, ctypes.c_uint64) for name in ("accepted", "acknowledged", "failed", "recovered", "dropped", "damaged")]


def load(path):
    library = ctypes.CDLL(path)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
            ("tally_open", pointer, [pointer, pointer, pointer]), ("tally_event_new", pointer, []), ("tally_event_begin", None, [pointer, text]),
            ("tally_event_text", None, [pointer, text, text]), ("tally_event_session", None, [pointer, text]), ("tally_event_int", None, [pointer, text, ctypes.c_int64]),
            ("tally_publish", ctypes.c_int, [pointer, pointer, pointer]), ("tally_event_id_text", text, [pointer, pointer]),
            ("tally_close", ctypes.c_bool, [pointer, ctypes.c_int, pointer])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main():
    path, brokers, topic, ids_path, count, *more = sys.argv[1:]
    library = load(path)
    given = dict(word.split("=", 1) for word in more)
    filler, pause = b"x" * int(given.pop("text", 0)), float(given.pop("pause", 0))
    pairs = [("kafka.bootstrap.servers", brokers), ("topics.events", topic), *given.items()]
    settings = (Setting * (len(pairs) + 1))(*((key.encode(), value.encode()) for key, value in pairs), (None, None))
    error, identity, counts = Error(size=ctypes.sizeof(Error)), ctypes.create_string_buffer(37), Counts(size=ctypes.sizeof(Counts))
    producer = library.tally_open(settings, ctypes.byref(HOOKS), ctypes.byref(error))
    if not producer:
        sys.exit(error.text.decode())
    event = library.tally_event_new()
    stopped = []
    ids = os.open(ids_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    for number in range(int(count)):
        if stopped:
            break
        library.tally_event_begin(event, b"code_input")
        library.tally_event_session(event, b"session-%d" % (number % 50))
        library.tally_event_int(event, b"number", number)
        if filler:
            library.tally_event_text(event, b"filler", filler)
        refused = 0
        while (code := library.tally_publish(producer, event, ctypes.byref(error))) == FULL:
            refused += 1
            if refused == REST:
                say("refused for two seconds: " + error.text.decode())
            time.sleep(0.005)
        if code != OK:
            sys.exit(error.text.decode())
        os.write(ids, library.tally_event_id_text(event, identity) + b"\n")
        if pause:
            time.sleep(pause)
    library.tally_close(producer, 60_000, ctypes.byref(counts))
    print(json.dumps({name: getattr(counts, name) for name, _ in Counts._fields_[1:]}), flush=True)
    sys.exit(0 if counts.accepted + counts.recovered == counts.acknowledged + counts.failed else 1)


if __name__ == "__main__":
    main()
