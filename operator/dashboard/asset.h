/* asset.h - the files of the page, built into the program: as they are, and packed. Constant. */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_ASSET_H
#define TALLYMILL_OPERATOR_DASHBOARD_ASSET_H

#include <stdbool.h>

struct http_answer;
struct http_request;

/* Answers with the file of that path; false: there is none, and nothing was answered. */
bool asset_answer(struct http_request *request, struct http_answer *answer);

#endif
