/* A text as one string: a file, or what a command prints. One pass; memory is that of the text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "io/run_directory.h"

static cohort_status read_command(const char *command, char **text, size_t *length, cohort_error *error) {
  FILE *pipe = popen(command, "re");
  if (!pipe) return cohort_fail(error, COHORT_BAD_DATA, "|%s: cannot be started: %s", command, strerror(errno));
  size_t room = 1 << 20, count = 0;
  char *own = cohort_allocate(room);
  for (size_t got; (got = fread(own + count, 1, room - count - 1, pipe)) > 0;) {
    count += got;
    if (count + 1 == room) own = cohort_reallocate(own, room *= 2);
  }
  const int ended = pclose(pipe);
  if (ended != 0 || count == 0) {
    free(own);
    if (ended == 0) return cohort_fail(error, COHORT_BAD_DATA, "|%s: printed nothing", command);
    return cohort_fail(error, COHORT_BAD_DATA, "|%s: failed with status %d; run it by hand to see why", command,
                       WIFEXITED(ended) ? WEXITSTATUS(ended) : -1);
  }
  own[count] = '\0';
  *text = own;
  *length = count;
  return COHORT_DONE;
}

bool cohort_text_is_command(const char *path) { return path && path[0] == '|'; }

cohort_status cohort_text_read(const char *path, char **text, size_t *length, cohort_error *error) {
  if (cohort_text_is_command(path)) return read_command(path + 1, text, length, error);
  char *own = NULL;
  size_t count = 0;
  COHORT_TRY(cohort_file_read(path, &own, &count, error));
  if (count == 0) {
    free(own);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is empty", path);
  }
  *text = own;
  *length = count;
  return COHORT_DONE;
}
