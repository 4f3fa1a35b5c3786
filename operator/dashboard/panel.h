/* panel.h - one panel of the dashboard: a file of schemas/panels, what its comments declare, and its query for a range.
 *
 *   -- title: Signups                     what stands above it
 *   -- sub: accounts made                 what it counts, in a few words
 *   -- tab: overview 5, business 1        on which tabs, and in which place there
 *   -- show: number                       number, line, list, bars, funnel, classes, heat, table
 *   -- unit: count                        count, share, ms, money, bytes, score, rate
 *   -- good: up                           which way is good: up, down, none
 *   -- zones: 500 1000 2000               optional: where one class of values ends and the next begins
 *   -- target: 0.7                        optional: what is aimed at
 *   -- compare: no                        optional: not compared with the range before
 *   -- range: today                       optional: only shown for that range (today; or: days)
 *   -- who: external internal             optional: for whom it can be asked; else for all
 *   -- filter: language                   optional: only shown where a language is chosen, which the query reads as :'language'
 *                                         (none: only where none is)
 *   -- picks: language                    optional: its values choose that language
 *
 * Each on a line of its own, every other comment is prose. The query reads :'first', :'last' (days), :'grain', :'who', :'tab' and
 * :'shift' (how far the days lie before those that they are compared with: their buckets are named by these), as psql's -v sets
 * them, and the tables of external users; for internal ones, or all, their names are exchanged by those of the
 * twins. Pure: no I/O. Any thread.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_PANEL_H
#define TALLYMILL_OPERATOR_DASHBOARD_PANEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct range;

enum panel_word {
    PANEL_TITLE,
    PANEL_SUB,
    PANEL_TAB,
    PANEL_SHOW,
    PANEL_UNIT,
    PANEL_GOOD, /* each panel has these */
    PANEL_ZONES,
    PANEL_TARGET,
    PANEL_COMPARE,
    PANEL_RANGE,
    PANEL_WHO,
    PANEL_FILTER,
    PANEL_PICKS,
    PANEL_WORDS
};

enum { PANEL_NAME_BYTES = 64, PANEL_VALUE_BYTES = 160 };

struct panel {
    char name[PANEL_NAME_BYTES];
    char words[PANEL_WORDS][PANEL_VALUE_BYTES]; /* "" where it is not declared */
    const char *query;                          /* without the semicolon at its end; borrowed */
};

/* Reads a file's text, which is cut in place. False: ERROR_USAGE says what is wrong. */
MUST_CHECK bool panel_parse(const char *file_name, char *text, struct panel *panel, struct error *err);

/* Whether its query reads :'language'. */
bool panel_is_filtered(const struct panel *panel);

/* Its place on a tab, from 1; 0: it is not on it. */
int panel_place(const struct panel *panel, const char *tab);

/* Whether it is shown for this range, and can be asked for these users. */
bool panel_is_for(const struct panel *panel, const struct range *range);
bool panel_knows(const struct panel *panel, const char *who);

enum panel_form {
    PANEL_ASKED, /* the language is the parameter $1: no text from outside stands in a query that is run */
    PANEL_SHOWN, /* it stands in it, quoted: to be copied into psql */
};

/* The query for days first to last, from malloc; NULL without memory. */
char *panel_sql(const struct panel *panel, const struct range *range, int32_t first, int32_t last, const char *tab,
                enum panel_form form);

/* Calls `each` with every table of the statistics that the query names ("analytics_daily_llm"), as written, once for each place. */
void panel_each_table(const char *sql, void (*each)(void *context, const char *name, size_t length), void *context);

#endif
