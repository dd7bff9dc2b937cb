/* Run directories. Invariant: a directory belongs to one process at a time, by its lock, and to one config, and nothing
 * of another run is touched before both are sure. The cost is that of reading a config. */
#include "io/run_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
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

static cohort_status read_config(const char *path, cohort_document **out, cohort_error *error) {
  char *name = cohort_format_text("%s/config.yaml", path), *text = NULL;
  size_t length = 0;
  cohort_status status = cohort_file_read(name, &text, &length, error);
  if (status == COHORT_DONE) status = cohort_config_parse(text, length, name, out, error);
  free(text);
  free(name);
  return status;
}

static cohort_status check_config(const char *path, const cohort_document *before, const cohort_document *expanded,
                                  const cohort_config_rules *rules, cohort_error *error) {
  cohort_document *whole = rules->complete(before);
  char *difference = cohort_config_difference(whole ? whole : before, expanded);
  char *forbidden = forbidden_changes(difference, rules->may_change);
  cohort_status status = COHORT_DONE;
  if (forbidden)
    status = cohort_fail(error, COHORT_BAD_CONFIG,
                         "%s: holds a run of another config; set run to another path, set overwrite: true to begin "
                         "anew there, or undo:%s",
                         path, forbidden);
  free(forbidden);
  free(difference);
  cohort_document_destroy(whole);
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

static bool is_true(const cohort_document *config, const char *key) {
  const cohort_document *value = cohort_document_get(config, key);
  return value && value->kind == COHORT_SCALAR && strcmp(value->text, "true") == 0;
}

char *cohort_run_outcome(const char *path) {
  char *name = cohort_format_text("%s/summary.json", path), *text = NULL, *out = NULL;
  size_t length = 0;
  cohort_document *summary = NULL;
  cohort_error ignored; /* what cannot be read says nothing */
  if (cohort_file_exists(name) && cohort_file_read(name, &text, &length, &ignored) == COHORT_DONE &&
      cohort_config_parse(text, length, name, &summary, &ignored) == COHORT_DONE) {
    const cohort_document *outcome = cohort_document_get(summary, "outcome");
    if (outcome && outcome->kind == COHORT_SCALAR) out = cohort_copy_text(outcome->text);
  }
  cohort_document_destroy(summary);
  free(text);
  free(name);
  return out;
}

static bool has_ended(const char *path) {
  char *outcome = cohort_run_outcome(path);
  const bool ended = outcome && (strcmp(outcome, "done") == 0 || strcmp(outcome, "diverged") == 0);
  free(outcome);
  return ended;
}

/* What a run writes, in the order in which it may go: as long as anything is left of a run that has ended, it can be
 * seen to have ended. */
static const struct {
  const char *folder, *names;
} own_files[] = {{"checkpoints", "latest"},
                 {"checkpoints", "step_*.h5"},
                 {"checkpoints", ".*.tmp"},
                 {"", "final.h5"},
                 {"", ".final.h5.tmp"},
                 {"plots", "*.svg"},
                 {"tensorboard", "events.out.tfevents.*"},
                 {"profile", "*"},
                 {"", "clients.csv"},
                 {"", "timing.csv"},
                 {"", "metrics.csv"},
                 {"", "log.txt"},
                 {"", "summary.json"}};

/* A name that cannot be removed, but is there, is an error: what it holds would count as the new run's. */
static cohort_status remove_names(const char *folder, const char *names, cohort_error *error) {
  DIR *directory = opendir(folder);
  if (!directory && errno == ENOENT) return COHORT_DONE;
  if (!directory) return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be read: %s", folder, strerror(errno));
  cohort_status status = COHORT_DONE;
  for (struct dirent *entry; status == COHORT_DONE && (entry = readdir(directory));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fnmatch(names, entry->d_name, FNM_PERIOD) != 0) continue;
    if (unlinkat(dirfd(directory), entry->d_name, 0) != 0 && errno != ENOENT && errno != EISDIR)
      status = cohort_fail(error, COHORT_NO_RESOURCE, "%s/%s: cannot be removed: %s", folder, entry->d_name,
                           strerror(errno));
  }
  (void)closedir(directory);
  return status;
}

static cohort_status remove_run(const char *path, cohort_error *error) {
  for (size_t i = 0; i < sizeof own_files / sizeof *own_files; i++) {
    char *folder = cohort_format_text("%s/%s", path, own_files[i].folder);
    const cohort_status status = remove_names(folder, own_files[i].names, error);
    free(folder);
    COHORT_TRY(status);
  }
  return COHORT_DONE;
}

/* Whether a run that shall begin anew, and is underway already, goes on: the same command started again. */
static bool goes_on(const char *path, const cohort_document *before, const cohort_document *expanded,
                    const cohort_config_rules *rules) {
  cohort_error ignored;
  return is_true(before, "overwrite") && !has_ended(path) &&
         check_config(path, before, expanded, rules, &ignored) == COHORT_DONE;
}

/* With the lock: the run that was here is of this config, or goes. */
static cohort_status settle(const char *path, const cohort_document *expanded, const cohort_config_rules *rules,
                            cohort_run_directory *out, cohort_error *error) {
  char *name = cohort_format_text("%s/config.yaml", path);
  out->fresh = !cohort_file_exists(name);
  free(name);
  if (out->fresh || !has_begun(path)) return COHORT_DONE;
  const bool overwrite = is_true(expanded, "overwrite");
  const cohort_status status = read_config(path, &out->before, error);
  if (!overwrite) {
    COHORT_TRY(status);
    return check_config(path, out->before, expanded, rules, error);
  }
  if (status == COHORT_DONE && goes_on(path, out->before, expanded, rules)) return COHORT_DONE;
  cohort_document_destroy(out->before);
  out->before = NULL;
  out->fresh = true;
  return remove_run(path, error);
}

static cohort_status open_on_first(const char *path, const cohort_document *expanded, const cohort_config_rules *rules,
                                   cohort_run_directory *out, cohort_error *error) {
  COHORT_TRY(cohort_directory_create(path, error));
  COHORT_TRY(cohort_run_lock_take(path, &out->lock, error));
  COHORT_TRY(settle(path, expanded, rules, out, error));
  COHORT_TRY(make_inside(path, "checkpoints", error));
  COHORT_TRY(make_plots(path, error));
  COHORT_TRY(make_inside(path, "tensorboard", error));
  char *name = cohort_format_text("%s/config.yaml", path), *text = cohort_config_write(expanded);
  const cohort_status status = cohort_file_write(name, text, strlen(text), error);
  free(text);
  free(name);
  return status;
}

static void drop(cohort_run_directory *directory) {
  cohort_run_lock_release(&directory->lock);
  cohort_document_destroy(directory->before);
  free(directory->path);
  *directory = (cohort_run_directory){.lock = {.descriptor = -1}};
}

cohort_status cohort_run_directory_compare(const char *path, const cohort_document *expanded,
                                           const cohort_config_rules *rules, cohort_error *error) {
  cohort_document *before = NULL;
  char *name = cohort_format_text("%s/config.yaml", path);
  const bool there = cohort_file_exists(name) && has_begun(path);
  free(name);
  if (!there) return COHORT_DONE;
  cohort_status status = read_config(path, &before, error);
  if (status == COHORT_DONE) status = check_config(path, before, expanded, rules, error);
  cohort_document_destroy(before);
  return status;
}

cohort_status cohort_run_directory_open(cohort_comm *comm, const char *path, const cohort_document *expanded,
                                        const cohort_config_rules *rules, cohort_run_directory *out,
                                        cohort_error *error) {
  *out = (cohort_run_directory){.lock = {.descriptor = -1}};
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) status = open_on_first(path, expanded, rules, out, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status != COHORT_DONE) {
    drop(out);
    return status;
  }
  out->fresh = cohort_comm_agree(comm, comm->rank == 0 && out->fresh) != 0;
  out->path = cohort_copy_text(path);
  cohort_comm_broadcast(comm, 0, out->lock.owner, sizeof out->lock.owner);
  if (comm->rank != 0) out->lock.directory = cohort_copy_text(path);
  return COHORT_DONE;
}

void cohort_run_directory_close(cohort_run_directory *directory) { drop(directory); }
