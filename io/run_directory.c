#include "io/run_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/config.h"

bool cohort_file_exists(const char *path) { return access(path, F_OK) == 0; }

cohort_status cohort_file_read(const char *path, char **text, size_t *length, cohort_error *error) {
  FILE *file = fopen(path, "rb");
  if (!file) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(errno));
  size_t room = 65536, count = 0;
  char *own = cohort_allocate(room);
  for (size_t got; (got = fread(own + count, 1, room - count - 1, file)) > 0;) {
    count += got;
    if (count + 1 < room) continue;
    room *= 2;
    own = cohort_reallocate(own, room);
  }
  const bool bad = ferror(file) != 0;
  const int fault = errno;
  (void)fclose(file);
  if (bad) {
    free(own);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(fault));
  }
  own[count] = '\0';
  *text = own;
  *length = count;
  return COHORT_DONE;
}

static cohort_status write_and_sync(const char *path, const char *text, size_t length, cohort_error *error) {
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(errno));
  bool good = true;
  for (size_t done = 0; good && done < length;) {
    const ssize_t wrote = write(file, text + done, length - done);
    good = wrote > 0;
    if (good) done += (size_t)wrote;
  }
  good = good && fsync(file) == 0;
  const int fault = errno;
  (void)close(file);
  if (good) return COHORT_DONE;
  (void)unlink(path);
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(fault));
}

static char *parent_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return cohort_copy_text(".");
  return slash == path ? cohort_copy_text("/") : cohort_format_text("%.*s", (int)(slash - path), path);
}

cohort_status cohort_file_write(const char *path, const char *text, size_t length, cohort_error *error) {
  char *hidden = cohort_format_text("%s.part", path);
  cohort_status status = write_and_sync(hidden, text, length, error);
  if (status == COHORT_DONE && rename(hidden, path) != 0) {
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(errno));
    (void)unlink(hidden);
  }
  free(hidden);
  if (status != COHORT_DONE) return status;
  char *parent = parent_of(path);
  const int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(parent);
  if (folder < 0) return COHORT_DONE;
  (void)fsync(folder);
  (void)close(folder);
  return COHORT_DONE;
}

cohort_status cohort_directory_create(const char *path, cohort_error *error) {
  if (!*path) return cohort_fail(error, COHORT_BAD_CONFIG, "a directory without a name; set run to a path");
  char *own = cohort_copy_text(path);
  for (char *at = own + 1; *at; at++) {
    if (*at != '/') continue;
    *at = '\0';
    (void)mkdir(own, 0777);
    *at = '/';
  }
  const int made = mkdir(own, 0777);
  const int fault = errno;
  free(own);
  struct stat found;
  if (made == 0 || (stat(path, &found) == 0 && S_ISDIR(found.st_mode))) return COHORT_DONE;
  return cohort_fail(error, fault == EEXIST ? COHORT_BAD_CONFIG : COHORT_NO_RESOURCE,
                     "%s: cannot be made a directory: %s", path, strerror(fault));
}

static cohort_status make_inside(const char *path, const char *name, cohort_error *error) {
  char *own = cohort_format_text("%s/%s", path, name);
  const cohort_status status = cohort_directory_create(own, error);
  free(own);
  return status;
}

static cohort_status take_lock(const char *path, int *lock, cohort_error *error) {
  char *name = cohort_format_text("%s/lock", path);
  const int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  cohort_status status = COHORT_DONE;
  if (file < 0) {
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", name, strerror(errno));
  } else if (flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    (void)close(file);
    status = cohort_fail(error, COHORT_BAD_CONFIG, "%s: in use by another run; wait for it, or set run to another path",
                         path);
  } else {
    *lock = file; /* where a file system has no locks, the run goes on without */
  }
  free(name);
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
  COHORT_TRY(take_lock(path, &out->lock, error));
  char *name = cohort_format_text("%s/config.yaml", path);
  out->fresh = !cohort_file_exists(name);
  cohort_status status =
      out->fresh || !has_begun(path) ? COHORT_DONE : check_config(path, name, expanded, may_change, error);
  if (status == COHORT_DONE) status = make_inside(path, "checkpoints", error);
  if (status == COHORT_DONE) status = make_inside(path, "plots", error);
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
  *out = (cohort_run_directory){.lock = -1};
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) status = open_on_first(path, expanded, may_change, out, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status != COHORT_DONE) {
    if (out->lock >= 0) (void)close(out->lock);
    out->lock = -1;
    return status;
  }
  out->fresh = cohort_comm_agree(comm, comm->rank == 0 && out->fresh) != 0;
  out->path = cohort_copy_text(path);
  return COHORT_DONE;
}

void cohort_run_directory_close(cohort_run_directory *directory) {
  if (directory->lock >= 0) (void)close(directory->lock);
  free(directory->path);
  *directory = (cohort_run_directory){.lock = -1};
}
