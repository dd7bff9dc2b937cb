/* What lies in a directory of checkpoints: which steps there are, which one is the latest, what may be deleted. A fault
 * of the file system is never taken for an empty directory. The cost is that of listing it. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/checkpoint_data.h"

int64_t cohort_checkpoint_step_of(const char *name) {
  if (strncmp(name, "step_", 5) != 0 || !isdigit((unsigned char)name[5])) return -1;
  char *end = NULL;
  const long long step = strtoll(name + 5, &end, 10);
  return strcmp(end, ".h5") == 0 && end - (name + 5) <= 18 ? step : -1;
}

char *cohort_checkpoint_path(const char *directory, int64_t step) {
  return cohort_format_text("%s/step_%08" PRId64 ".h5", directory, step);
}

/* Only "there is no such file" means none: a run that takes any other fault for it begins anew over what it has. */
static cohort_status unreadable(const char *path, int code, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: cannot be read: %s; the run's checkpoints may be there: make it readable and start again",
                     path, strerror(code));
}

static int compare_steps(const void *a, const void *b) {
  const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

cohort_status cohort_checkpoint_steps(const char *directory, int64_t **steps, int *count, cohort_error *error) {
  DIR *const open_directory = opendir(directory);
  *steps = NULL;
  *count = 0;
  if (!open_directory) return errno == ENOENT ? COHORT_DONE : unreadable(directory, errno, error);
  int64_t *found = NULL;
  errno = 0;
  for (struct dirent *entry; (entry = readdir(open_directory)); errno = 0) {
    const int64_t step = cohort_checkpoint_step_of(entry->d_name);
    if (step < 0) continue;
    found = cohort_reallocate(found, (size_t)(*count + 1) * sizeof *found);
    found[(*count)++] = step;
  }
  const int fault = errno;
  closedir(open_directory);
  if (fault) {
    free(found);
    *count = 0;
    return unreadable(directory, fault, error);
  }
  if (found) qsort(found, (size_t)*count, sizeof *found, compare_steps);
  *steps = found;
  return COHORT_DONE;
}

cohort_status cohort_checkpoint_latest(const char *directory, char **out, cohort_error *error) {
  char *const path = cohort_format_text("%s/latest", directory);
  FILE *const file = fopen(path, "re");
  const int missing = errno;
  char name[256] = "";
  cohort_status status = COHORT_DONE;
  *out = NULL;
  if (file) {
    const size_t bytes = fread(name, 1, sizeof name - 1, file);
    if (ferror(file)) status = unreadable(path, errno, error);
    fclose(file);
    name[bytes] = '\0';
    name[strcspn(name, "\r\n")] = '\0';
    if (status == COHORT_DONE && cohort_checkpoint_step_of(name) >= 0) *out = cohort_copy_text(name);
  } else if (missing != ENOENT) {
    status = unreadable(path, missing, error);
  }
  free(path);
  return status;
}

cohort_status cohort_checkpoint_last_step(const char *directory, int64_t *step, cohort_error *error) {
  char *latest = NULL;
  COHORT_TRY(cohort_checkpoint_latest(directory, &latest, error));
  *step = latest ? cohort_checkpoint_step_of(latest) : -1;
  free(latest);
  return COHORT_DONE;
}

/* Hidden names of saves: ".NAME.tmp". */
static bool is_leftover(const char *name) {
  const size_t length = strlen(name);
  return name[0] == '.' && length > 5 && strcmp(name + length - 4, ".tmp") == 0;
}

static void remove_leftovers(const char *directory) {
  DIR *const open_directory = opendir(directory);
  if (!open_directory) return;
  for (struct dirent *entry = readdir(open_directory); entry; entry = readdir(open_directory)) {
    if (is_leftover(entry->d_name)) unlinkat(dirfd(open_directory), entry->d_name, 0);
  }
  closedir(open_directory);
}

void cohort_checkpoint_prune(const char *directory, int keep, int64_t best) {
  remove_leftovers(directory);
  int count = 0;
  int64_t *steps = NULL;
  char *latest = NULL;
  cohort_error ignored; /* what cannot be seen is kept, and the next start says why */
  if (cohort_checkpoint_steps(directory, &steps, &count, &ignored) != COHORT_DONE ||
      cohort_checkpoint_latest(directory, &latest, &ignored) != COHORT_DONE)
    count = 0;
  const int64_t latest_step = latest ? cohort_checkpoint_step_of(latest) : -1;
  for (int i = 0; i < count - keep; i++) {
    if (steps[i] == best || steps[i] == latest_step) continue;
    char *const path = cohort_checkpoint_path(directory, steps[i]);
    unlink(path);
    free(path);
  }
  free(latest);
  free(steps);
}
