/* advise_print.h - facts and advice as a person reads them. One thread. */
#ifndef TALLYMILL_OPERATOR_ADVISE_PRINT_H
#define TALLYMILL_OPERATOR_ADVISE_PRINT_H

#include <jansson.h>

void advise_print(const json_t *facts, const json_t *advice); /* on stdout */

#endif
