/* access.h - who may ask: the Host that was asked for, the token, and the sessions of browsers that have shown it once.
 *
 * Nothing is changed by any request, so there is nothing to forge; what is guarded is reading. Any thread.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_ACCESS_H
#define TALLYMILL_OPERATOR_DASHBOARD_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct access;
struct http_answer;
struct http_request;
struct settings;

/* dashboard.listen, .token, .hosts, .cookie_secure. ERROR_USAGE: it listens elsewhere than on the loopback and has no token of 32
 * characters or more. The settings are borrowed. */
MUST_CHECK struct access *access_new(const struct settings *settings, struct error *err);
void access_free(struct access *access);

/* The same as a check: nothing is made. */
MUST_CHECK bool access_check(const struct settings *settings, struct error *err);

/* Whether the request's Host is one of ours: localhost, an address, or in dashboard.hosts. Else a page of a stranger has had a
 * browser look for us under its own name (DNS rebinding), and gets 421. */
bool access_is_host(const struct access *access, const struct http_request *request);

/* Whether it may read: no token is asked for, or it comes with it, or with the cookie of a session. now_us is monotonic. */
bool access_is_let_in(struct access *access, const struct http_request *request, int64_t now_us);

/* POST /login with the form's token: a cookie and the way to the page, or the form again. */
void access_login(struct access *access, struct http_request *request, struct http_answer *answer, int64_t now_us);

#endif
