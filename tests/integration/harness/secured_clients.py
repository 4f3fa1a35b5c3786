"""The test's own Kafka clients on a secured stack: whoever is given its brokers' mTLS listener gets the certificates as well.

Tests make clients by `bootstrap.servers` alone, and most of them are about something else. So the three classes are changed,
before any test imports them, to add what is known about those brokers; for others nothing changes. Only our programs
are held to SCRAM.
"""

import confluent_kafka
import confluent_kafka.admin

_known = {}


def remember(properties):
    """These properties belong to the `bootstrap.servers` among them from now on."""
    _known[properties["bootstrap.servers"]] = properties


def _with_more(properties):
    return {**_known.get(properties.get("bootstrap.servers"), {}), **properties}


def _secured(base):
    class Secured(base):
        def __init__(self, properties, **how):
            super().__init__(_with_more(properties), **how)

    Secured.__name__ = base.__name__
    return Secured


Producer = confluent_kafka.Producer = _secured(confluent_kafka.Producer)
Consumer = confluent_kafka.Consumer = _secured(confluent_kafka.Consumer)

# This one calls itself by its name in the module, so that it stays there and only begins otherwise.
AdminClient = confluent_kafka.admin.AdminClient
_begin = AdminClient.__init__
AdminClient.__init__ = lambda self, properties, **how: _begin(self, _with_more(properties), **how)
