/* combined.c - see combined.h.
 *
 * %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i". A quote inside the quoted fields is written \" by both servers; their
 * other escapes (\xhh) stay as they are: what bytes they stood for, nobody can show.
 */
#include "producer/import/combined.h"

#include <string.h>

#include "common/error.h"
#include "producer/library/json.h"
#include "producer/library/text.h"
#include "producer/library/value.h"

struct line {
    struct value_pool *pool;
    struct value *object;
    const char *at, *end;
    struct error *err;
};

static bool put(struct line *line, const char *name, const char *text, size_t length)
{
    if (length == 0 || (length == 1 && *text == '-'))
        return true;
    const char *fault = text_fault(text, length);
    if (fault != NULL)
        return error_set(line->err, ERROR_REJECT, "%s %s", name, fault);
    struct value *value = value_text(line->pool, text, length, line->err);
    if (value != NULL)
        value_add(line->object, name, strlen(name), value);
    return value != NULL;
}

static bool put_number(struct line *line, const char *name, const char *text, size_t length)
{
    struct value *copy = value_text(line->pool, text, length, line->err);
    struct value *number = copy == NULL || length == 0 ? NULL : json_number(line->pool, copy->text, length);
    if (number == NULL)
        return copy != NULL && put(line, name, text, length);
    value_add(line->object, name, strlen(name), number);
    return true;
}

static void skip_blanks(struct line *line)
{
    while (line->at < line->end && *line->at == ' ')
        line->at++;
}

/* Up to the next blank. */
static const char *take_word(struct line *line, size_t *length)
{
    skip_blanks(line);
    const char *word = line->at, *blank = memchr(word, ' ', (size_t)(line->end - word));
    line->at = blank == NULL ? line->end : blank;
    *length = (size_t)(line->at - word);
    return word;
}

/* Between quotes, without the backslash of \" and \\. NULL: none begins here, or it does not end. */
static char *take_quoted(struct line *line, size_t *length)
{
    skip_blanks(line);
    if (line->at == line->end || *line->at != '"')
        return NULL;
    char *text = value_room(line->pool, (size_t)(line->end - line->at), line->err);
    *length = 0;
    for (const char *at = line->at + 1; text != NULL && at < line->end; at++) {
        if (*at == '"') {
            line->at = at + 1;
            text[*length] = '\0';
            return text;
        }
        if (*at == '\\' && at + 1 < line->end && (at[1] == '"' || at[1] == '\\'))
            at++;
        text[(*length)++] = *at;
    }
    return NULL;
}

static bool refuse(struct line *line, const char *what)
{
    return error_set(line->err, ERROR_REJECT, "no line of a combined log: %s", what);
}

static bool is_host(const char *word, size_t length)
{
    const char *colon = memrchr(word, ':', length);
    return colon != NULL && colon + 1 < word + length && strspn(colon + 1, "0123456789") >= (size_t)(word + length - colon - 1) &&
           memchr(word, ':', (size_t)(colon - word)) == NULL; /* an IPv6 address has more of them */
}

/* [HOST:PORT] CLIENT IDENT USER, where a user may have blanks. */
static bool put_head(struct line *line, const char *bracket)
{
    struct line head = *line;
    size_t length;
    head.end = bracket;
    const char *word = take_word(&head, &length);
    if (is_host(word, length)) {
        if (!put(&head, "host", word, length))
            return false;
        word = take_word(&head, &length);
    }
    if (length == 0)
        return refuse(line, "no client before the time");
    bool ok = put(&head, "client", word, length);
    word = take_word(&head, &length);
    ok = ok && put(&head, "ident", word, length);
    skip_blanks(&head);
    while (head.end > head.at && head.end[-1] == ' ')
        head.end--;
    return ok && put(&head, "user", head.at, (size_t)(head.end - head.at));
}

/* METHOD PATH PROTOCOL. */
static bool put_request(struct line *line, const char *request, size_t length)
{
    const char *first = memchr(request, ' ', length), *last = memrchr(request, ' ', length);
    if (first == NULL || first == last || strncmp(last + 1, "HTTP/", 5) != 0)
        return put(line, "request", request, length);
    return put(line, "method", request, (size_t)(first - request)) && put(line, "path", first + 1, (size_t)(last - first) - 1) &&
           put(line, "protocol", last + 1, (size_t)(request + length - last) - 1);
}

static bool read_line(struct line *line)
{
    const char *bracket = memchr(line->at, '[', (size_t)(line->end - line->at));
    const char *close = bracket == NULL ? NULL : memchr(bracket, ']', (size_t)(line->end - bracket));
    if (close == NULL)
        return refuse(line, "no [time]");
    if (!put_head(line, bracket) || !put(line, "time", bracket + 1, (size_t)(close - bracket) - 1))
        return false;
    line->at = close + 1;
    size_t length;
    const char *text = take_quoted(line, &length);
    if (text == NULL)
        return refuse(line, "no \"request\" behind the time");
    if (!put_request(line, text, length))
        return false;
    const char *word = take_word(line, &length);
    if (length != 3 && !(length == 1 && *word == '-'))
        return refuse(line, "no status behind the request");
    if (!put_number(line, "status", word, length))
        return false;
    word = take_word(line, &length);
    if (!put_number(line, "bytes", word, length))
        return false;
    static const char *const names[] = {"referrer", "agent"};
    for (size_t i = 0; i < 2 && (text = take_quoted(line, &length)) != NULL; i++)
        if (!put(line, names[i], text, length))
            return false;
    skip_blanks(line);
    return put(line, "extra", line->at, (size_t)(line->end - line->at));
}

struct value *combined_object(struct value_pool *pool, const char *line, size_t length, struct error *err)
{
    struct value *object = value_new(pool, VALUE_OBJECT, err);
    struct line left = {.pool = pool, .object = object, .at = line, .end = line + length, .err = err};
    return object != NULL && read_line(&left) ? object : NULL;
}
