/* A program beside this one that answers lines with lines. It reads its standard input and writes its standard output;
 * what it says on standard error is seen as our own. */
#ifndef COHORT_IO_PROCESS_H
#define COHORT_IO_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_process cohort_process;

/* Starts `line` by sh, in a process group of its own. COHORT_BAD_DATA when it cannot be started. */
cohort_status cohort_process_start(const char *line, cohort_process **out, cohort_error *error);
/* Closes its input; one that does not end within a second, or has failed, is killed, and what it has started. NULL is
 * fine. */
void cohort_process_end(cohort_process *process);

/* Sends `text` and takes so many lines of its answer within `timeout` seconds: *answer, NUL-ended lines one after
 * another, owned by the caller. COHORT_BAD_DATA with one line that says what happened when it ends, says too little in
 * time or too much; COHORT_STOPPED once *stop (may be NULL) is not 0. After a failure it can only be ended. */
cohort_status cohort_process_ask(cohort_process *process, const char *text, size_t bytes, int64_t lines, double timeout,
                                 const _Atomic int *stop, char **answer, cohort_error *error);

#endif
