/* check.c - see check.h. */
#include "common/check.h"

#include <stdio.h>

bool check_found(struct check *check, const struct error *err)
{
    static const int weight[] = {[ERROR_NONE] = 0, [ERROR_RETRY] = 1, [ERROR_REJECT] = 1, [ERROR_FATAL] = 2, [ERROR_USAGE] = 3};
    if (weight[err->kind] > weight[check->worst])
        check->worst = err->kind;
    fprintf(stderr, "%s: %s\n", check->program, err->text);
    return false;
}

int check_exit_code(const struct check *check)
{
    const struct error worst = {.kind = check->worst};
    return error_exit_code(&worst);
}
