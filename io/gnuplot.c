/* gnuplot reads a file, not a pipe: one that ends early must not end us by a signal. What it says goes to a second
 * file, so its fault can be told. */
#include "io/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void cohort_gnuplot_quote(FILE *script, const char *text, const char *more) {
  (void)fputc('\'', script);
  for (const char *part = text; part; part = part == text ? more : NULL)
    for (const char *at = part; *at; at++) {
      if (*at == '\'') (void)fputc('\'', script);
      (void)fputc(*at == '\n' ? ' ' : *at, script);
    }
  (void)fputc('\'', script);
}

/* Its exit status, or -1 when it could not be started, with errno. A child that finds no program after posix_spawn has
 * returned ends with 127 (POSIX): so where fork stands in for vfork, as under valgrind. */
static int start_and_wait(FILE *script, FILE *said) {
  extern char **environ;
  char name[] = "gnuplot", *arguments[] = {name, NULL};
  posix_spawn_file_actions_t actions;
  pid_t child = 0;
  int ended = 0;
  if (fflush(script) != 0) return -1;
  rewind(script);
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
  (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  (void)posix_spawn_file_actions_adddup2(&actions, fileno(said), STDERR_FILENO);
  errno = posix_spawnp(&child, name, &actions, NULL, arguments, environ);
  const int fault = errno;
  (void)posix_spawn_file_actions_destroy(&actions);
  errno = fault;
  if (fault) return -1;
  while (waitpid(child, &ended, 0) < 0)
    if (errno != EINTR) return -1;
  enum { NOT_STARTED = 127, BY_SIGNAL };
  if (!WIFEXITED(ended)) return BY_SIGNAL;
  errno = ENOENT;
  return WEXITSTATUS(ended) == NOT_STARTED ? -1 : WEXITSTATUS(ended);
}

/* The last line that is not empty: gnuplot shows the place first and the fault behind it. */
static void last_line(FILE *said, char *out, size_t room) {
  char line[256];
  out[0] = '\0';
  rewind(said);
  while (fgets(line, sizeof line, said)) {
    line[strcspn(line, "\n")] = '\0';
    const char *const text = line + strspn(line, " \t");
    if (*text) (void)snprintf(out, room, "%s", text);
  }
}

cohort_status cohort_gnuplot_run(FILE *script, cohort_error *error) {
  FILE *const said = tmpfile();
  if (!said) return cohort_fail(error, COHORT_NO_RESOURCE, "plots: no temporary file: %s", strerror(errno));
  const int ended = start_and_wait(script, said);
  const int fault = errno;
  char line[256] = "";
  if (ended > 0) last_line(said, line, sizeof line);
  (void)fclose(said);
  if (ended == 0) return COHORT_DONE;
  if (ended < 0 && fault == ENOENT)
    return cohort_fail(error, COHORT_NO_RESOURCE,
                       "plots: gnuplot is not installed; install it, the numbers are in metrics.csv");
  if (ended < 0) return cohort_fail(error, COHORT_NO_RESOURCE, "plots: gnuplot cannot be started: %s", strerror(fault));
  return cohort_fail(error, COHORT_NO_RESOURCE, "plots: gnuplot failed; the numbers are in metrics.csv%s%s",
                     line[0] ? "; it said: " : "", line);
}
