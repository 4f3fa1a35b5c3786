/* panels.c - see panels.h. */
#include "operator/dashboard/panels.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"
#include "common/settings_file.h"

enum { MAX_FILE_BYTES = 1 << 18, MAX_PANELS = 1000, PATH_BYTES = 2048 };

static void find_directory(struct panels *panels, const struct settings *settings)
{
    const char *directory = settings_text(settings, "dashboard.panels");
    char program[512] = "";
    if (directory[0] == '\0' && readlink("/proc/self/exe", program, sizeof program - 1) > 0)
        snprintf(panels->directory, sizeof panels->directory, "%s/" TALLYMILL_DATA_FROM_BIN "/panels", dirname(program));
    else
        snprintf(panels->directory, sizeof panels->directory, "%s", directory);
}

static bool is_sql(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".sql") == 0;
}

static int choose(const struct dirent *entry)
{
    return is_sql(entry);
}

static void read_one(struct panels *panels, const char *name)
{
    char path[PATH_BYTES];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", panels->directory, name);
    char *text = settings_file_text(path, MAX_FILE_BYTES, &err);
    if (text && panel_parse(name, text, &panels->list[panels->count], &err)) {
        panels->texts[panels->count++] = text;
        return;
    }
    free(text);
    log_warn_because(&err, "a panel is left out", "file=\"%s\"", name);
}

bool panels_read(struct panels *panels, const struct settings *settings, struct error *err)
{
    struct dirent **entries = NULL;
    memset(panels, 0, sizeof *panels);
    find_directory(panels, settings);
    const int found = scandir(panels->directory, &entries, choose, alphasort);
    if (found < 0)
        return error_set(err, ERROR_USAGE, "cannot read the panels of %s: %s; set dashboard.panels", panels->directory,
                         strerror(errno));
    const size_t count = found < MAX_PANELS ? (size_t)found : MAX_PANELS;
    panels->list = calloc(count + 1, sizeof *panels->list);
    panels->texts = calloc(count + 1, sizeof *panels->texts);
    for (int i = 0; i < found; i++) {
        if (panels->list && panels->texts && (size_t)i < count)
            read_one(panels, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return (panels->list && panels->texts) || error_set(err, ERROR_RETRY, "no memory for the panels");
}

void panels_free(struct panels *panels)
{
    for (size_t i = 0; i < panels->count; i++)
        free(panels->texts[i]);
    free(panels->texts);
    free(panels->list);
}

const struct panel *panels_find(const struct panels *panels, const char *name)
{
    for (size_t i = 0; i < panels->count; i++)
        if (strcmp(panels->list[i].name, name) == 0)
            return &panels->list[i];
    return NULL;
}

const struct panel **panels_of_tab(const struct panels *panels, const char *tab)
{
    const struct panel **chosen = calloc(panels->count + 1, sizeof *chosen);
    size_t used = 0;
    for (size_t i = 0; chosen && i < panels->count; i++) {
        const struct panel *panel = &panels->list[i];
        const int place = panel_place(panel, tab);
        if (place == 0)
            continue;
        size_t at = used++;
        for (; at > 0 && panel_place(chosen[at - 1], tab) > place; at--)
            chosen[at] = chosen[at - 1];
        chosen[at] = panel;
    }
    return chosen;
}
