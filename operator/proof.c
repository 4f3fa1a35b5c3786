/* proof.c - see proof.h. */
#include "operator/proof.h"

#include <stdio.h>

#include "common/settings.h"
#include "operator/answer.h"
#include "operator/terminal.h"

enum { EXIT_DAMAGED = 1, EXIT_NOT_PROVEN = 4 };

int proof_exit_code(enum proof proof, const struct error *err)
{
    switch (proof) {
    case PROOF_HOLDS: return 0;
    case PROOF_DAMAGED:
    case PROOF_SET_ASIDE: return EXIT_DAMAGED;
    case PROOF_NOT_PROVEN: break;
    }
    return err->kind == ERROR_USAGE || err->kind == ERROR_FATAL ? error_exit_code(err) : EXIT_NOT_PROVEN;
}

bool proof_is_said(const struct error *err, int64_t damages)
{
    return err->kind != ERROR_USAGE || damages > 0;
}

void proof_print_next(enum proof proof, const struct settings *settings)
{
    const char *path = settings_path(settings);
    if (proof == PROOF_DAMAGED) {
        fputs("What to do: docs/runbooks/audit.md (below share/doc/tallymill, runbooks/audit.md), which begins with: tallymill "
              "audit --deep",
              stdout);
        fputs(path[0] ? " --config " : "", stdout);
        terminal_text(stdout, path);
        fputc('\n', stdout);
    }
}

bool proof_print_json(json_t *answer, enum proof proof, const struct error *err)
{
    static const char *const words[] = {
        [PROOF_HOLDS] = "ok", [PROOF_DAMAGED] = "damaged", [PROOF_SET_ASIDE] = "set aside", [PROOF_NOT_PROVEN] = "not proven"};
    json_object_set_new(answer, "verdict", json_string(words[proof]));
    if (err->kind != ERROR_NONE) {
        json_object_set_new(answer, "error", json_string(err->text));
    }
    return answer_print(answer);
}
