/* What lies in a directory of checkpoints: which steps there are, which one is the latest, what may be deleted. */
#include <ctype.h>
#include <dirent.h>
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

static int compare_steps(const void *a, const void *b) {
  const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

int64_t *cohort_checkpoint_steps(const char *directory, int *count) {
  *count = 0;
  DIR *const open_directory = opendir(directory);
  if (!open_directory) return NULL;
  int64_t *steps = NULL;
  for (struct dirent *entry = readdir(open_directory); entry; entry = readdir(open_directory)) {
    const int64_t step = cohort_checkpoint_step_of(entry->d_name);
    if (step < 0) continue;
    steps = cohort_reallocate(steps, (size_t)(*count + 1) * sizeof *steps);
    steps[(*count)++] = step;
  }
  closedir(open_directory);
  if (steps) qsort(steps, (size_t)*count, sizeof *steps, compare_steps);
  return steps;
}

char *cohort_checkpoint_latest(const char *directory) {
  char *const path = cohort_format_text("%s/latest", directory);
  FILE *const file = fopen(path, "r");
  free(path);
  if (!file) return NULL;
  char name[256] = "";
  const size_t bytes = fread(name, 1, sizeof name - 1, file);
  fclose(file);
  name[bytes] = '\0';
  name[strcspn(name, "\r\n")] = '\0';
  return cohort_checkpoint_step_of(name) >= 0 ? cohort_copy_text(name) : NULL;
}

int64_t cohort_checkpoint_last_step(const char *directory) {
  char *const latest = cohort_checkpoint_latest(directory);
  const int64_t step = latest ? cohort_checkpoint_step_of(latest) : -1;
  free(latest);
  return step;
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
  int64_t *const steps = cohort_checkpoint_steps(directory, &count);
  char *const latest = cohort_checkpoint_latest(directory);
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
