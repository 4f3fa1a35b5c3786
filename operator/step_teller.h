/* step_teller.h - a line on stderr about a step that takes long, so that a command which works is told from one that hangs.
 *
 * A thread of its own says it: most steps are one statement of the server, during which the command's thread waits. One teller a
 * process; begun and ended by one thread.
 */
#ifndef TALLYMILL_OPERATOR_STEP_TELLER_H
#define TALLYMILL_OPERATOR_STEP_TELLER_H

/* Another step begins: "PROGRAM: TEXT ..." is said once it has taken two seconds, once. Ends the one before. Where no thread can be
 * made nothing is said. */
void step_teller_begin(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The step is over, and so is the thread. */
void step_teller_end(void);

#endif
