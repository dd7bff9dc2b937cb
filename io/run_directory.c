/* A run's directory: the lock, the config that it belongs to, the folders. Whoever holds the lock is the only writer. A
 * directory of another config is refused with the keys that differ, before anything in it is touched. */
#include "io/run_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/config.h"

static cohort_status make_inside(const char *path, const char *name, cohort_error *error) {
  char *own = cohort_format_text("%s/%s", path, name);
  const cohort_status status = cohort_directory_create(own, error);
  free(own);
  return status;
}

/* gnuplot writes the pictures, and would write through a link. */
static cohort_status make_plots(const char *path, cohort_error *error) {
  char *own = cohort_format_text("%s/plots", path);
  cohort_status status = cohort_directory_create(own, error);
  if (status == COHORT_DONE) status = cohort_directory_remove_links(own, error);
  free(own);
  return status;
}

/* Only the changed keys that may not change, as lines; NULL when there are none. */
static char *forbidden_changes(const char *difference, bool (*may_change)(const char *key)) {
  char *kept = NULL;
  for (const char *line = difference; line && *line;) {
    const char *end = strchr(line, '\n');
    const char *colon = strchr(line, ':');
    char *key = cohort_format_text("%.*s", (int)(colon - line - 2), line + 2);
    if (!may_change(key)) {
      char *longer = cohort_format_text("%s\n%.*s", kept ? kept : "", (int)(end - line), line);
      free(kept);
      kept = longer;
    }
    free(key);
    line = end + 1;
  }
  return kept;
}

static cohort_status check_config(const char *path, const char *name, const cohort_document *expanded,
                                  bool (*may_change)(const char *key), cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_file_read(name, &text, &length, error));
  cohort_document *before = NULL;
  cohort_status status = cohort_config_parse(text, length, name, &before, error);
  free(text);
  COHORT_TRY(status);
  char *difference = cohort_config_difference(before, expanded);
  char *forbidden = forbidden_changes(difference, may_change);
  if (forbidden)
    status = cohort_fail(error, COHORT_BAD_CONFIG,
                         "%s: holds a run of another config; set run to another path, or undo:%s", path, forbidden);
  free(forbidden);
  free(difference);
  cohort_document_destroy(before);
  return status;
}

/* Whether a run began here: a start that failed before its first row has left nothing that another config could harm.
 */
static bool has_begun(const char *path) {
  static const char *const traces[] = {"metrics.csv", "final.h5", "checkpoints/latest"};
  bool found = false;
  for (size_t i = 0; i < sizeof traces / sizeof *traces && !found; i++) {
    char *name = cohort_format_text("%s/%s", path, traces[i]);
    found = cohort_file_exists(name);
    free(name);
  }
  return found;
}

static cohort_status open_on_first(const char *path, const cohort_document *expanded,
                                   bool (*may_change)(const char *key), cohort_run_directory *out,
                                   cohort_error *error) {
  COHORT_TRY(cohort_directory_create(path, error));
  COHORT_TRY(cohort_run_lock_take(path, &out->lock, error));
  char *name = cohort_format_text("%s/config.yaml", path);
  out->fresh = !cohort_file_exists(name);
  cohort_status status =
      out->fresh || !has_begun(path) ? COHORT_DONE : check_config(path, name, expanded, may_change, error);
  if (status == COHORT_DONE) status = make_inside(path, "checkpoints", error);
  if (status == COHORT_DONE) status = make_plots(path, error);
  if (status == COHORT_DONE) status = make_inside(path, "tensorboard", error);
  if (status == COHORT_DONE) {
    char *text = cohort_config_write(expanded);
    status = cohort_file_write(name, text, strlen(text), error);
    free(text);
  }
  free(name);
  return status;
}

cohort_status cohort_run_directory_open(cohort_comm *comm, const char *path, const cohort_document *expanded,
                                        bool (*may_change)(const char *key), cohort_run_directory *out,
                                        cohort_error *error) {
  *out = (cohort_run_directory){.lock = {.descriptor = -1}};
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) status = open_on_first(path, expanded, may_change, out, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status != COHORT_DONE) {
    cohort_run_lock_release(&out->lock);
    return status;
  }
  out->fresh = cohort_comm_agree(comm, comm->rank == 0 && out->fresh) != 0;
  out->path = cohort_copy_text(path);
  cohort_comm_broadcast(comm, 0, out->lock.owner, sizeof out->lock.owner);
  if (comm->rank != 0) out->lock.directory = cohort_copy_text(path);
  return COHORT_DONE;
}

void cohort_run_directory_close(cohort_run_directory *directory) {
  cohort_run_lock_release(&directory->lock);
  free(directory->path);
  *directory = (cohort_run_directory){.lock = {.descriptor = -1}};
}
