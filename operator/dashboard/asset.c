/* asset.c - see asset.h. The name of a version (ETag) is made of its content, so that a browser asks again and gets an empty answer
 * until the program is another. */
#include "operator/dashboard/asset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <xxhash.h>

#include "common/http_answer.h"
#include "common/http_request.h"

#define FILES(name)                                                                                                                \
    extern const char name[], name##_gz[];                                                                                         \
    extern const size_t name##_length, name##_gz_length;
FILES(index_html)
FILES(style_css)
FILES(dashboard_js)
FILES(format_js)
FILES(chart_js)
FILES(panels_js)
FILES(pipeline_js)
FILES(alarms_js)
FILES(live_js)
FILES(uplot_js)
FILES(uplot_css)
FILES(mark_svg)
FILES(login_css)

static const struct asset {
    const char *path, *type, *bytes, *packed;
    const size_t *length, *packed_length;
} assets[] = {
#define ASSET(path, type, name)                                                                                                    \
    {                                                                                                                              \
        path, type "; charset=utf-8", name, name##_gz, &name##_length, &name##_gz_length                                           \
    }
    ASSET("/", "text/html", index_html),
    ASSET("/style.css", "text/css", style_css),
    ASSET("/dashboard.js", "text/javascript", dashboard_js),
    ASSET("/format.js", "text/javascript", format_js),
    ASSET("/chart.js", "text/javascript", chart_js),
    ASSET("/panels.js", "text/javascript", panels_js),
    ASSET("/pipeline.js", "text/javascript", pipeline_js),
    ASSET("/alarms.js", "text/javascript", alarms_js),
    ASSET("/live.js", "text/javascript", live_js),
    ASSET("/uplot.js", "text/javascript", uplot_js),
    ASSET("/uplot.css", "text/css", uplot_css),
    ASSET("/mark.svg", "image/svg+xml", mark_svg),
    ASSET("/favicon.ico", "image/svg+xml", mark_svg),
    ASSET("/login.css", "text/css", login_css),
};

static const struct asset *find(const char *path)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
        if (strcmp(assets[i].path, path) == 0)
            return &assets[i];
    return NULL;
}

/* Whether a list such as "br;q=1, gzip;q=0.5" takes gzip: it names it, and not with a weight of nothing. */
static bool takes_gzip(const char *list)
{
    static const char name[] = "gzip";
    while (list && *list != '\0') { /* ends: with the text */
        list += strspn(list, ", \t");
        const size_t length = strcspn(list, ",");
        const char *behind = list + sizeof name - 1, *weight = memchr(list, '=', length);
        if (strncasecmp(list, name, sizeof name - 1) == 0 && strchr(";, \t", *behind))
            return !weight || strtod(weight + 1, NULL) > 0;
        list += length;
    }
    return false;
}

/* Whether If-None-Match has this version: among others perhaps, and marked as weak by a proxy. */
static bool knows(const char *list, const char *tag)
{
    return list && (strcmp(list, "*") == 0 || strstr(list, tag));
}

bool asset_answer(struct http_request *request, struct http_answer *answer)
{
    const struct asset *asset = find(http_path(request));
    if (!asset)
        return false;
    char tag[32];
    const char *known = http_header(request, "If-None-Match"), *accepts = http_header(request, "Accept-Encoding");
    const bool is_packed = takes_gzip(accepts);
    snprintf(tag, sizeof tag, "\"%016llx%s\"", (unsigned long long)XXH3_64bits(asset->bytes, *asset->length), is_packed ? "g" : "");
    http_answer_status(answer, knows(known, tag) ? 304 : 200, asset->type);
    http_answer_header(answer, "ETag", tag);
    http_answer_header(answer, "Cache-Control", "no-cache");
    http_answer_header(answer, "Vary", "Accept-Encoding");
    if (knows(known, tag))
        return true;
    if (is_packed)
        http_answer_header(answer, "Content-Encoding", "gzip");
    http_answer_constant(answer, is_packed ? asset->packed : asset->bytes, is_packed ? *asset->packed_length : *asset->length);
    return true;
}
