/* kafka_probe.h - what a port speaks: TLS, or Kafka's protocol without it. */
#ifndef TALLYMILL_COMMON_KAFKA_PROBE_H
#define TALLYMILL_COMMON_KAFKA_PROBE_H

enum kafka_probe {
    KAFKA_PROBE_SILENT, /* no connection, or no answer that tells */
    KAFKA_PROBE_TLS,
    KAFKA_PROBE_PLAIN,
};

/* Connects to "HOST:PORT" (IPv6 in brackets), says hello in both ways, one after the other, and looks at the first bytes that come
 * back. At most 1 s for each; looking the name up is not bounded. Any thread. */
enum kafka_probe kafka_probe(const char *server);

#endif
