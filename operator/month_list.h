/* month_list.h - the months that there are or were, as `tallymill months` lists them and `archive --due` takes them. One thread. */
#ifndef TALLYMILL_OPERATOR_MONTH_LIST_H
#define TALLYMILL_OPERATOR_MONTH_LIST_H

#include <libpq-fe.h>

struct error;
struct settings;

/* The rows of operator/sql/months_list.sql, newest month first. The caller frees the result (PQclear). */
PGresult *month_list_ask(const struct settings *settings, const char *application_name, struct error *err);

#endif
