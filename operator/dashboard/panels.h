/* panels.h - all panels of the directory, in the order of their names. Read once, then constant: any thread. */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_PANELS_H
#define TALLYMILL_OPERATOR_DASHBOARD_PANELS_H

#include <stddef.h>

#include "common/error.h"
#include "operator/dashboard/panel.h"

struct settings;

struct panels {
    struct panel *list;
    size_t count;
    char **texts; /* of the files, which the panels borrow */
    char directory[1024];
};

/* dashboard.panels, or the shipped ones beside the program. A file with a mistake is named in the log and left out. False:
 * ERROR_USAGE where the directory cannot be read. */
MUST_CHECK bool panels_read(struct panels *panels, const struct settings *settings, struct error *err);
void panels_free(struct panels *panels);

const struct panel *panels_find(const struct panels *panels, const char *name); /* NULL: there is none */

/* The panels of a tab in their places, NULL behind the last: from malloc, or NULL without memory. */
const struct panel **panels_of_tab(const struct panels *panels, const char *tab);

#endif
