/* postgres_error.c - what an error of Postgres asks for: postgres_error() and the one table of SQLSTATEs. See postgres_error.h.
 *
 * The SQLSTATE decides, never the text, which is localised. An SQLSTATE that the table does not know is FATAL: retrying what can
 * never work stalls a topic partition for ever, and rejecting what might work throws events away; a person must look once and
 * the table grows by a line. The list of codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
#include "common/postgres_error.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char rights_tsv[];

/* A code of five characters or a class of two. A full code wins over its class. */
struct rule {
    const char *code;
    enum error_kind kind;
};

static const struct rule rules[] = {
    /* The server, the network or a lock is in the way; the same transaction may pass later. */
    {"08", ERROR_RETRY},    /* connection exceptions; poolers use 08P01 for all of their own errors */
    {"40", ERROR_RETRY},    /* serialization failure, deadlock, completion unknown */
    {"53", ERROR_RETRY},    /* disk full, out of memory, too many connections: never a dead letter's fault */
    {"55", ERROR_RETRY},    /* lock not available, object in use or not in the state it will soon be in */
    {"57", ERROR_RETRY},    /* shutdown, crash of another backend, starting up, cancelled by time-out */
    {"25006", ERROR_RETRY}, /* read-only: a failover left us on a standby */
    {"25P03", ERROR_RETRY}, /* idle in transaction time-out: we were stopped or slow; the connection is gone */
    {"25P04", ERROR_RETRY}, /* transaction time-out (17) */
    {"58030", ERROR_RETRY}, /* I/O error: a disk or mount that may come back */
    {"72000", ERROR_RETRY}, /* snapshot too old */

    /* This row can never be stored. */
    {"22", ERROR_REJECT},    /* data exceptions: a value that the column's type does not take */
    {"23", ERROR_REJECT},    /* constraints: NOT NULL, CHECK, unique, foreign key (but see postgres_error for 23514) */
    {"54", ERROR_REJECT},    /* program limits: an index row too large, JSON nested too deep for the server's stack */
    {"44000", ERROR_REJECT}, /* WITH CHECK OPTION, where somebody put a view in place of the table */
    {"P0001", ERROR_REJECT}, /* RAISE in a trigger that an administrator added */
    /* ... but not these two of class 22, which are about the stream or the statement, not the row. */
    {"22P04", ERROR_FATAL}, /* bad COPY file format: our encoder is wrong, every row would go the same way */
    {"22023", ERROR_FATAL}, /* invalid parameter value: a statement of ours */

    /* Settings, rights or schema. Retrying would hide it; rejecting would throw away every event. After the start a caller may
     * treat 42P01, 42703 and 42883 as a migration under way, and class 28 as a password being rotated. */
    {"28", ERROR_USAGE},    /* login refused */
    {"3D000", ERROR_USAGE}, /* no such database */
    {"3F000", ERROR_USAGE}, /* no such schema */
    {"42501", ERROR_USAGE}, /* no right */
    {"42P01", ERROR_USAGE}, /* no such table */
    {"42703", ERROR_USAGE}, /* no such column */
    {"42704", ERROR_USAGE}, /* no such object (a role, a type) */
    {"42883", ERROR_USAGE}, /* no such function */
    {"42P10", ERROR_USAGE}, /* ON CONFLICT finds no unique index: somebody dropped the key */
    {"2BP01", ERROR_USAGE}, /* something else stands on what is to be dropped */

    /* Our own (docs/design.md, section 7, lists them). */
    {"TM001", ERROR_RETRY}, /* fenced: drop what is fenced, read the ledger again */
    {"TM002", ERROR_USAGE}, /* another consumer group stores this topic: consumer.group */
    {"TM003", ERROR_USAGE}, /* the topic was stored from another Kafka cluster: kafka.bootstrap.servers, topics.events */
    {"TM004", ERROR_FATAL}, /* the caller broke the contract of commit_batch */
    {"TM007", ERROR_RETRY}, /* a month was detached by hand: wait for a person, losing nothing */
    {"TM006",
     ERROR_USAGE}, /* what an operator asks for is not so: a reset that does not go forward, a topic that is none of the books */
    {"TM008", ERROR_USAGE},  /* the topic's books are closed: topics.events */
    {"TM010", ERROR_RETRY},  /* somebody's trigger or rule keeps the books from being written: wait for whoever takes it away */
    {"TM009", ERROR_FATAL},  /* the topic was made anew: nothing of it is stored until a person has looked */
    {"TM005", ERROR_REJECT}, /* the month is archived: a dead letter until it is restored */
};

static enum error_kind find_kind(const char *sqlstate, size_t length)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strlen(rules[i].code) == length && strncmp(rules[i].code, sqlstate, length) == 0)
            return rules[i].kind;
    return ERROR_NONE;
}

enum error_kind postgres_kind(const char *sqlstate)
{
    if (sqlstate == NULL || sqlstate[0] == '\0')
        return ERROR_RETRY;
    enum error_kind kind = find_kind(sqlstate, 5);
    if (kind == ERROR_NONE)
        kind = find_kind(sqlstate, 2);
    return kind != ERROR_NONE ? kind : ERROR_FATAL;
}

/* Codes, or beginnings of codes, each followed by the next: at most three. POSTGRES_REFUSED is none of them: see below. */
static const char *const states[][3] = {
    [POSTGRES_LOGIN_REFUSED] = {"28"},
    [POSTGRES_NO_RIGHT] = {"42501"},
    [POSTGRES_NO_SCHEMA] = {"42P01", "3F000"},
    [POSTGRES_MIGRATING] = {"42P01", "42703", "42883"},
    [POSTGRES_READ_ONLY] = {"25006"},
    [POSTGRES_CONFLICT] = {"40"},
    [POSTGRES_DEADLOCK] = {"40P01"},
    [POSTGRES_LOCKED] = {"55P03"},
    [POSTGRES_CANCELLED] = {"57014"},
    [POSTGRES_UNIQUE] = {"23505"},
    [POSTGRES_UNSUPPORTED] = {"0A000"},
    [POSTGRES_NOT_IN_STATE] = {"55000"},
    [POSTGRES_CHECK] = {"23514"},
    [POSTGRES_STILL_USED] = {"2BP01"},
    [POSTGRES_INTERNAL] = {"XX000"},
    [POSTGRES_DAMAGED] = {"XX"},
    [POSTGRES_FENCED] = {"TM001"},
    [POSTGRES_CONTRACT] = {"TM004"},
    [POSTGRES_MONTH_ARCHIVED] = {"TM005"},
    [POSTGRES_NOT_SO] = {"TM006"},
    [POSTGRES_MONTH_DETACHED] = {"TM007"},
    [POSTGRES_TOPIC_ANEW] = {"TM009"},
    [POSTGRES_KEPT_OUT] = {"TM010"},
};

bool postgres_state_is(const char *sqlstate, enum postgres_state state)
{
    if (state == POSTGRES_REFUSED) /* 57P01, 57P02, 57P05: the server ends the session */
        return sqlstate[0] != '\0' && strncmp(sqlstate, "57P", 3) != 0;
    for (size_t i = 0; i < sizeof states[0] / sizeof states[0][0] && states[state][i]; i++)
        if (strncmp(sqlstate, states[state][i], strlen(states[state][i])) == 0)
            return true;
    return false;
}

bool postgres_is(const struct error *err, enum postgres_state state)
{
    return postgres_state_is(err->sqlstate, state);
}

void postgres_mark(struct error *err, enum postgres_state state)
{
    assert(states[state][0] && strlen(states[state][0]) == 5 && !states[state][1]);
    memcpy(err->sqlstate, states[state][0], sizeof err->sqlstate);
}

/* The SQLSTATE in a verbose text of a refused connection: "FATAL:  3D000: database ..." (the severity is localised). Several hosts
 * give several texts; the last one counts, as it does for libpq. */
static void connection_sqlstate(const char *text, char sqlstate[6])
{
    for (const char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        const char *code = at + 3;
        size_t length = 0;
        while (length < 5 && (isdigit((unsigned char)code[length]) || isupper((unsigned char)code[length])))
            length++;
        if (length == 5 && code[5] == ':' && code[6] == ' ') {
            memcpy(sqlstate, code, 5);
            sqlstate[5] = '\0';
        }
    }
}

/* libpq's text of a connection without what the verbose form adds: the code and the lines of the server's source. */
static void connection_text(const char *text, const char *sqlstate, struct error *err)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        error_set(err, err->kind, "%s", text);
        return;
    }
    char pattern[16];
    snprintf(pattern, sizeof pattern, ":  %s: ", sqlstate);
    for (char *at; sqlstate[0] != '\0' && (at = strstr(copy, pattern)) != NULL;)
        memmove(at + 2, at + strlen(pattern), strlen(at + strlen(pattern)) + 1);
    for (char *at; (at = strstr(copy, "\nLOCATION: ")) != NULL;) {
        const char *end = strchr(at + 1, '\n');
        memmove(at, end != NULL ? end : "", end != NULL ? strlen(end) + 1 : 1);
    }
    error_set(err, err->kind, "%s", copy);
    free(copy);
}

/* A connection that TLS keeps from being made has no SQLSTATE; libpq's words, which are English here (nobody calls setlocale), tell
 * it. */
static const struct {
    const char *said, *advice;
} tls_refusals[] = {
    {"certificate has expired", "the server's certificate must be renewed, or this machine's clock is wrong"},
    {"certificate is not yet valid", "this machine's clock is wrong, or the server's certificate"},
    {"certificate verify failed", /* libpq does not say why */
     "either sslrootcert in postgres.dsn names another authority than the server's certificate is of, or the server's certificate "
     "has expired: renew it (openssl s_client -starttls postgres -connect HOST:PORT shows it), or this machine's clock is wrong"},
    {"does not match host name", "set host in postgres.dsn to the name in the server's certificate"},
    {"does not match any of the names", "set host in postgres.dsn to the name in the server's certificate"},
    {"server does not support SSL",
     "sslmode in postgres.dsn asks for TLS: switch it on at the server (ssl = on), or set sslmode=prefer"},
    {"root certificate file", "sslrootcert in postgres.dsn names a file with the authority's certificate (PEM)"},
    {"certificate required", "the server asks for a client's certificate: sslcert and sslkey in postgres.dsn"},
    {"alert unknown ca", "the server does not know the authority of sslcert in postgres.dsn"},
    {"alert certificate expired", "the certificate of sslcert in postgres.dsn has expired: renew it"},
    {"alert certificate revoked", "the certificate of sslcert in postgres.dsn was revoked: have another one issued"},
    {"alert bad certificate", "the server does not take the certificate of sslcert in postgres.dsn: its log says why"},
    {"alert certificate unknown", "the server does not take the certificate of sslcert in postgres.dsn: its log says why"},
    {"alert unsupported certificate", "the server does not take the certificate of sslcert in postgres.dsn: its log says why"},
    {"private key file", "sslkey in postgres.dsn must be the key of sslcert, and readable by its owner alone (chmod 600)"},
    {"could not read certificate file", "sslcert in postgres.dsn must be readable"},
};

static const char *tls_advice(const char *text)
{
    for (size_t i = 0; i < sizeof tls_refusals / sizeof tls_refusals[0]; i++)
        if (strstr(text, tls_refusals[i].said) != NULL)
            return tls_refusals[i].advice;
    return NULL;
}

/* The server refused the last attempt, which was made without TLS, for being so. That is no advice where libpq had made one with
 * TLS before (sslmode=prefer, its default): then that one's reason counts. */
static bool is_about_encryption(const char *text)
{
    return strstr(text, "no encryption") != NULL && strstr(text, ", SSL encryption") == NULL &&
           strstr(text, ":  28P01: ") == NULL && strstr(text, "password authentication failed") == NULL;
}

/* What to do about a login that the server refused. */
static const char *login_advice(const char *sqlstate, const char *text)
{
    if (strstr(text, "no encryption") != NULL && tls_advice(text) != NULL)
        return tls_advice(text);
    if (is_about_encryption(text))
        return "the server takes this login over TLS only: set sslmode=verify-full in postgres.dsn";
    if (strstr(text, "certificate authentication failed") != NULL)
        return "the name (CN) in the certificate of sslcert must be the user of postgres.dsn, or be mapped to it in the server's "
               "pg_ident.conf";
    if (strstr(text, "valid client certificate") != NULL)
        return "the server asks for a client's certificate: sslcert and sslkey in postgres.dsn";
    return postgres_state_is(sqlstate, POSTGRES_LOGIN_REFUSED)
               ? "check user and password (or passfile) in postgres.dsn, and pg_hba.conf on the server"
               : NULL;
}

/* libpq stumbles over a value of the connection string, before it asks anybody or when it comes to use it. Its words: see
 * tls_refusals. */
static bool is_wrong_value(const char *text)
{
    static const char *const begins[] = {"invalid ", "could not match ", "could not parse network address", "weak sslmode "};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(text, begins[i], strlen(begins[i])) == 0)
            return true;
    return strstr(text, "for connection option \"") != NULL;
}

/* What to do where nobody gave an SQLSTATE; NULL: wait. */
static const char *local_advice(const PGconn *conn, const char *text)
{
    /* A passfile that is away for a moment, or that others may read, libpq passes over without an error. */
    if (conn != NULL && PQconnectionNeedsPassword(conn))
        return "no password: postgres.dsn has none, or its passfile is missing, is not mode 600, or has no line for this host, "
               "database and user";
    return PQstatus(conn) == CONNECTION_BAD && is_wrong_value(text) ? "mend that value in postgres.dsn" : tls_advice(text);
}

static bool connection_error(struct error *err, const PGconn *conn)
{
    const char *text = conn != NULL ? PQerrorMessage(conn) : "out of memory";
    char sqlstate[6] = "";
    connection_sqlstate(text, sqlstate);
    err->kind = postgres_kind(sqlstate);
    const char *advice = sqlstate[0] == '\0' ? local_advice(conn, text) : login_advice(sqlstate, text);
    if (advice != NULL && sqlstate[0] == '\0') {
        /* A login that is refused, whoever refuses it: a program that was connected before takes either for a change under way. */
        err->kind = ERROR_USAGE;
        memcpy(sqlstate, "28000", sizeof sqlstate);
    }
    connection_text(text[0] != '\0' ? text : "the connection to Postgres was lost", sqlstate, err);
    if (advice != NULL) {
        const struct error said = *err;
        error_set(err, said.kind, "%.*s; %s", (int)(sizeof said.text - strlen(advice) - 40), said.text, advice);
    }
    memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
    return false;
}

/* The first thing in quotes, whichever the server's language uses; false: there is none that fits. */
static bool first_quoted(const char *text, char *name, size_t size)
{
    static const char *const quotes[] = {"\"", "»", "«", "„", "“", "”", "‘", "’"};
    const char *begin = NULL, *end = NULL;
    for (const char *at = text; *at != '\0' && !end; at++) {
        for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
            const size_t length = strlen(quotes[i]);
            if (strncmp(at, quotes[i], length) != 0)
                continue;
            if (begin)
                end = at;
            else
                begin = at + length;
            at += length - 1;
            break;
        }
    }
    while (end && begin < end && *begin == ' ')
        begin++;
    while (end && end > begin && end[-1] == ' ')
        end--;
    if (!end || begin == end || (size_t)(end - begin) >= size)
        return false;
    memcpy(name, begin, (size_t)(end - begin));
    name[end - begin] = '\0';
    return true;
}

const char *postgres_identifier(char identifier[POSTGRES_IDENTIFIER_BYTES], const char *name)
{
    size_t used = 0;
    identifier[used++] = '"';
    for (; *name != '\0' && used < POSTGRES_IDENTIFIER_BYTES - 3; name++) {
        if (*name == '"')
            identifier[used++] = '"';
        identifier[used++] = *name;
    }
    identifier[used++] = '"';
    identifier[used] = '\0';
    return identifier;
}

/* The books' tables are those that somebody has a right on; all others of ours lie beside the events. */
static bool is_of_books(const char *table)
{
    char name[128];
    const int length = snprintf(name, sizeof name, "\ttallymill.%s", table);
    for (const char *at = strstr(rights_tsv, name); at != NULL; at = strstr(at + 1, name))
        if (at[length] == '\n' || at[length] == '\t')
            return true;
    return false;
}

bool postgres_row_security(struct error *err, const PGconn *conn, const char *table)
{
    char login[POSTGRES_IDENTIFIER_BYTES], quoted[POSTGRES_IDENTIFIER_BYTES];
    const bool is_plain = strspn(table, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(table);
    postgres_identifier(login, conn != NULL ? PQuser(conn) : "");
    error_set(err, ERROR_USAGE,
              "row security keeps rows of table %s from the login %s, so nothing that is counted would be right. An owner of it "
              "runs: ALTER TABLE "
              "%s.%s DISABLE ROW LEVEL SECURITY; or, to keep it for others, a superuser: ALTER ROLE %s BYPASSRLS;",
              table, conn != NULL ? PQuser(conn) : "of ours", is_of_books(table) ? "tallymill" : "public",
              is_plain ? table : postgres_identifier(quoted, table), login);
    postgres_mark(err, POSTGRES_NO_RIGHT);
    return false;
}

/* Row security on one of our tables, which row_security = off makes an error (postgres_begin.h). The server's own name of the place
 * that refuses tells it from a right that is missing, in every language. */
static bool row_security_error(struct error *err, const PGconn *conn, const PGresult *result, const char *message)
{
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    char table[128];
    if (!function || strcmp(function, "check_enable_rls") != 0 || !message || !first_quoted(message, table, sizeof table))
        return false;
    postgres_row_security(err, conn, table);
    return true;
}

bool postgres_said_in(const PGresult *result, const char *const *files)
{
    const char *file = PQresultErrorField(result, PG_DIAG_SOURCE_FILE);
    const char *base = file != NULL ? strrchr(file, '/') : NULL;
    for (; file != NULL && *files != NULL; files++)
        if (strcmp(base != NULL ? base + 1 : file, *files) == 0)
            return true;
    return false;
}

/* The server has no transaction ids left (54000, as of a row that no index takes): it says so where it gives them away. */
static bool is_out_of_ids(const PGresult *result, const char *sqlstate)
{
    static const char *const files[] = {"varsup.c", "multixact.c", NULL};
    return strncmp(sqlstate, "54", 2) == 0 && postgres_said_in(result, files);
}

/* A file of the server's own is out of its reach: its disk is read-only, over its quota, or not mounted. It says so as of a right,
 * of a bug or of something unknown, but none of these comes from where files are opened. A damaged block has a code of its own. */
static bool is_about_files(const PGresult *result, const char *sqlstate)
{
    static const char *const files[] = {"md.c", "fd.c", "slru.c", "copydir.c", NULL};
    static const char *const codes[] = {"42501", "42809", "58P01", "58P02", "XX000"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(sqlstate, codes[i]) == 0)
            return postgres_said_in(result, files);
    return false;
}

bool postgres_error(struct error *err, const PGconn *conn, const PGresult *result)
{
    const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (sqlstate == NULL)
        return connection_error(err, conn);
    enum error_kind kind = postgres_kind(sqlstate);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    /* No table partition takes the row: the month is missing and can be made. A CHECK that refuses the row names itself. */
    if (postgres_state_is(sqlstate, POSTGRES_CHECK) && (constraint == NULL || constraint[0] == '\0'))
        kind = ERROR_RETRY;
    const bool has_no_ids = is_out_of_ids(result, sqlstate), has_no_file = is_about_files(result, sqlstate);
    if (has_no_ids || has_no_file)
        kind = ERROR_RETRY;

    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (postgres_state_is(sqlstate, POSTGRES_NO_RIGHT) && row_security_error(err, conn, result, message))
        return false;
    /* The detail of a refused row quotes the row, which belongs into no log. */
    const char *detail =
        kind == ERROR_REJECT || strncmp(sqlstate, "23", 2) == 0 ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = strncmp(sqlstate, "TM", 2) == 0 ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;
    if (has_no_file)
        hint = "The disk of that file is not mounted, is read-only, or is closed to the server's account: mend it there, nothing "
               "is stored meanwhile";
    else if (has_no_ids)
        hint = "Nothing is written before a superuser ends what keeps old transactions (pg_prepared_xacts, pg_replication_slots, "
               "the oldest in pg_stat_activity) and runs VACUUM in that database";
    error_set(err, kind, "%s%s%s%s%s%s", message != NULL ? message : "Postgres refused", detail != NULL ? " (" : "",
              detail != NULL ? detail : "", detail != NULL ? ")" : "", hint != NULL ? ". " : "", hint != NULL ? hint : "");
    memcpy(err->sqlstate, sqlstate, 5);
    err->sqlstate[5] = '\0';
    return false;
}
