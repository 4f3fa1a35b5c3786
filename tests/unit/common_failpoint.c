/* Labelled steps of test builds. A build without them has nothing to test. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/failpoint.h"

#ifdef TALLYMILL_FAILPOINTS

/* The wait status of a child that reaches the step "x" `times` times, and then the step "count" with counters 10, 20 and 30. */
static int run(const char *environment, int times)
{
    setenv("TALLYMILL_FAILPOINT", environment, 1);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        for (int i = 0; i < times; i++)
            FAILPOINT("x");
        for (int counter = 10; counter <= 30; counter += 10)
            FAILPOINT_COUNT("count", counter);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    return status;
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(failpoint, does_nothing_when_none_is_set)
{
    cr_expect_eq(exit_code(run("", 3)), 0);
    cr_expect_eq(exit_code(run("other:exit", 3)), 0);
}

Test(failpoint, exits_when_its_step_is_reached_for_the_nth_time)
{
    cr_expect_eq(exit_code(run("x:exit", 1)), 86);
    cr_expect_eq(exit_code(run("other:exit,x:exit:3", 3)), 86);
    cr_expect_eq(exit_code(run("x:exit:3", 2)), 0);
}

Test(failpoint, acts_once_a_counter_has_come_so_far)
{
    cr_expect_eq(exit_code(run("count:exit:30", 0)), 86);
    cr_expect_eq(exit_code(run("count:exit:25", 0)), 86);
    cr_expect_eq(exit_code(run("count:exit:31", 0)), 0);
}

Test(failpoint, aborts)
{
    int status = run("x:abort", 1);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

Test(failpoint, stops_once_and_goes_on_when_continued)
{
    setenv("TALLYMILL_FAILPOINT", "x:stop", 1);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        FAILPOINT("x");
        FAILPOINT("x");
        _exit(7);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    cr_assert_eq(kill(pid, SIGCONT), 0);
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    cr_expect_eq(exit_code(status), 7);
}

Test(failpoint, that_cannot_be_read_ends_the_process)
{
    static const char *const bad[] = {"x", "x:explode", "x:exit:0", "x:exit:1a", ":exit", "x:exit,,y:exit"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(exit_code(run(bad[i], 1)), 2, "%s", bad[i]);
}

#else

Test(failpoint, is_compiled_to_nothing_in_a_release)
{
    setenv("TALLYMILL_FAILPOINT", "x:abort", 1);
    FAILPOINT("x");
    FAILPOINT_COUNT("x", 1);
}

#endif
