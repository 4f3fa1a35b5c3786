/* proof.h - what `audit` and `verify` can find out, as the exit code and the word that scripts compare.
 *
 * A script must tell damage from a proof that could not be made: a server that did not answer says nothing about the data. One
 * thread.
 */
#ifndef TALLYMILL_OPERATOR_PROOF_H
#define TALLYMILL_OPERATOR_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "common/error.h"

struct settings;

enum proof {
    PROOF_HOLDS,      /* exit code 0, "ok" */
    PROOF_DAMAGED,    /* 1, "damaged": found, whatever failed afterwards */
    PROOF_SET_ASIDE,  /* 1, "set aside": verify --strict, and not everything was compared */
    PROOF_NOT_PROVEN, /* 4, "not proven": a server did not answer; 3 where the error needs a person */
};

/* The exit code; `err` is how looking ended. */
MUST_CHECK int proof_exit_code(enum proof proof, const struct error *err);

/* Whether there is a verdict to say: not where the command could not begin for a mistake of its caller (ERROR_USAGE). */
bool proof_is_said(const struct error *err, int64_t damages);

/* A line for the terminal that says where to go on with damage: the page, and its first command. Before the verdict, which is the
 * last line. Nothing of any other proof. */
void proof_print_next(enum proof proof, const struct settings *settings);

/* Adds the members verdict and, where looking failed, error, and prints the answer. False when it could not be written. */
MUST_CHECK bool proof_print_json(json_t *answer, enum proof proof, const struct error *err);

#endif
