/* Saves: a new file under a hidden name, space reserved, slices written by their ranks, synced, sealed, agreed,
 * renamed; `latest` last. At every moment the newest name in the directory is a whole file. A rank writes its slice
 * alone; time is that of the slowest slice and one sync. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/checkpoint_data.h"
#include "io/file.h"

enum { STRUCTURE_RESERVE = 1 << 20, OPEN_TRIES = 100, OPEN_PAUSE_NANOSECONDS = 50000000 };

typedef struct save {
  const char *directory;
  char *path, *hidden;          /* the file's name, and its name until it is whole */
  char *latest, *hidden_latest; /* NULL when `latest` stays as it is */
  cohort_region *region;        /* a flat each */
} save;

static cohort_status begin(const cohort_checkpoint *checkpoint, const char *directory, const char *name, save *out,
                           cohort_error *error) {
  char step_name[64];
  snprintf(step_name, sizeof step_name, "step_%08" PRId64 ".h5", checkpoint->step);
  const char *const file = name ? name : step_name;
  *out = (save){.directory = directory};
  out->path = cohort_format_text("%s/%s", directory, file);
  out->hidden = cohort_format_text("%s/.%s.tmp", directory, file);
  if (!name) {
    out->latest = cohort_format_text("%s/latest", directory);
    out->hidden_latest = cohort_format_text("%s/.latest.tmp", directory);
  }
  out->region = cohort_allocate((size_t)(checkpoint->flats + 1) * sizeof *out->region);
  for (int i = 0; i < checkpoint->flats; i++) {
    const cohort_stored_flat *const flat = &checkpoint->flat[i];
    for (int j = 0; j < flat->tensors; j++) {
      int64_t elements = 1;
      for (int k = 0; k < flat->tensor[j].axes; k++) elements *= flat->tensor[j].size[k];
      if (elements > 0 && flat->tensor[j].offset >= 0 && flat->tensor[j].offset + elements <= flat->elements) continue;
      return cohort_fail(error, COHORT_BUG, "%s: %s/%s does not lie in %s", out->path, flat->view_path,
                         flat->tensor[j].name, flat->flat_path);
    }
  }
  return COHORT_DONE;
}

static void end(save *state) {
  free(state->path);
  free(state->hidden);
  free(state->latest);
  free(state->hidden_latest);
  free(state->region);
}

static cohort_status check_space(const save *state, const cohort_checkpoint *checkpoint, cohort_error *error) {
  struct statvfs facts;
  if (statvfs(state->directory, &facts) != 0) {
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: %s", state->directory, strerror(errno));
  }
  uint64_t needed = STRUCTURE_RESERVE;
  for (int i = 0; i < checkpoint->flats; i++) {
    needed += (uint64_t)checkpoint->flat[i].elements * cohort_stored_bytes(checkpoint->flat[i].type);
  }
  const uint64_t free_bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
  if (free_bytes >= needed) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE,
                     "%s: the disk is full: a checkpoint needs %" PRIu64 " MB and %" PRIu64
                     " MB are free; free some space or choose another disk",
                     state->directory, needed / 1000000 + 1, free_bytes / 1000000);
}

/* Rank 0: the new file with everything but the data. */
static cohort_status create(const save *state, const cohort_checkpoint *checkpoint, const uint64_t *digest,
                            cohort_error *error) {
  COHORT_TRY(cohort_run_lock_check(checkpoint->lock, error));
  unlink(state->hidden); /* of a save that was killed: its room counts as free */
  COHORT_TRY(check_space(state, checkpoint, error));
  const int descriptor = cohort_file_create(state->hidden);
  if (descriptor < 0) {
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be created: %s", state->hidden, strerror(errno));
  }
  const cohort_status status =
      cohort_structure_create(descriptor, state->hidden, checkpoint, digest, state->region, error);
  if (close(descriptor) == 0 || status != COHORT_DONE) return status;
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: closing failed: %s", state->hidden, strerror(errno));
}

/* A network file system may show the new file a little later on other hosts. */
static int open_when_visible(const char *path) {
  for (int tries = 0;; tries++) {
    const int descriptor = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor >= 0 || errno != ENOENT || tries == OPEN_TRIES) return descriptor;
    nanosleep(&(struct timespec){.tv_nsec = OPEN_PAUSE_NANOSECONDS}, NULL);
  }
}

static int64_t slice_offset(const save *state, const cohort_checkpoint *checkpoint, int i) {
  return state->region[i].offset + checkpoint->flat[i].first * (int64_t)cohort_stored_bytes(checkpoint->flat[i].type);
}

static size_t slice_bytes(const cohort_stored_flat *flat) {
  return (size_t)flat->count * cohort_stored_bytes(flat->type);
}

/* Space for all slices before any is written, so that a full disk is learnt in moments. */
static cohort_status reserve(const save *state, const cohort_checkpoint *checkpoint, int descriptor,
                             cohort_error *error) {
  for (int i = 0; i < checkpoint->flats; i++) {
    const size_t bytes = slice_bytes(&checkpoint->flat[i]);
    if (bytes == 0) continue;
    const int64_t offset = slice_offset(state, checkpoint, i);
    if (fallocate(descriptor, 0, (off_t)offset, (off_t)bytes) == 0) continue;
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR) continue; /* writing will tell */
    return cohort_fail(error, COHORT_NO_RESOURCE,
                       "%s: no space for the checkpoint: %s; free some or choose another disk", state->hidden,
                       strerror(errno));
  }
  return COHORT_DONE;
}

static cohort_status write_slices(const save *state, const cohort_checkpoint *checkpoint, int descriptor,
                                  uint64_t *bytes_written, cohort_error *error) {
  for (int i = 0; i < checkpoint->flats; i++) {
    const cohort_stored_flat *const flat = &checkpoint->flat[i];
    COHORT_TRY(cohort_write_at(descriptor, state->hidden, flat->slice, slice_bytes(flat),
                               slice_offset(state, checkpoint, i), error));
    *bytes_written += slice_bytes(flat);
  }
  if (fsync(descriptor) == 0) return COHORT_DONE; /* never tried twice: a second fsync would lie */
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: syncing failed: %s", state->hidden, strerror(errno));
}

/* Collective: every rank's slices; the status is agreed. */
static cohort_status write_data(cohort_comm *comm, const save *state, const cohort_checkpoint *checkpoint,
                                uint64_t *bytes_written, cohort_error *error) {
  cohort_status status = cohort_run_lock_check(checkpoint->lock, error);
  const int descriptor = status == COHORT_DONE ? open_when_visible(state->hidden) : -1;
  if (status == COHORT_DONE && descriptor < 0) {
    const char *const hint = errno == ENOENT ? "; all hosts must see the run directory" : "";
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be opened by rank %d: %s%s", state->hidden, comm->rank,
                         strerror(errno), hint);
  } else if (status == COHORT_DONE) {
    status = reserve(state, checkpoint, descriptor, error);
  }
  status = cohort_comm_agree_error(comm, status, error);
  if (status == COHORT_DONE) status = write_slices(state, checkpoint, descriptor, bytes_written, error);
  if (descriptor >= 0 && close(descriptor) != 0 && status == COHORT_DONE) {
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: closing failed: %s", state->hidden, strerror(errno));
  }
  return cohort_comm_agree_error(comm, status, error);
}

static cohort_status write_latest(const save *state, cohort_error *error) {
  const int descriptor = cohort_file_create(state->hidden_latest);
  if (descriptor < 0) return cohort_fail(error, COHORT_NO_RESOURCE, "%s: %s", state->hidden_latest, strerror(errno));
  char *const text = cohort_format_text("%s\n", strrchr(state->path, '/') + 1);
  cohort_status status = cohort_write_at(descriptor, state->hidden_latest, text, strlen(text), 0, error);
  free(text);
  if (status == COHORT_DONE && fsync(descriptor) != 0) {
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: syncing failed: %s", state->hidden_latest, strerror(errno));
  }
  close(descriptor);
  return status;
}

static cohort_status move(const char *from, const char *to, cohort_error *error) {
  if (rename(from, to) == 0) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
}

/* Rank 0: all that can fail for want of space is done before the first rename. */
static cohort_status publish(const save *state, const cohort_run_lock *lock, cohort_error *error) {
  COHORT_TRY(cohort_run_lock_check(lock, error));
  if (state->latest) COHORT_TRY(write_latest(state, error));
  COHORT_TRY(move(state->hidden, state->path, error));
  COHORT_TRY(cohort_directory_sync(state->directory, error));
  if (!state->latest) return COHORT_DONE;
  COHORT_TRY(move(state->hidden_latest, state->latest, error));
  return cohort_directory_sync(state->directory, error);
}

static void remove_hidden(const save *state) {
  unlink(state->hidden);
  if (state->hidden_latest) unlink(state->hidden_latest);
}

static cohort_status run(cohort_comm *comm, save *state, const cohort_checkpoint *checkpoint, uint64_t *bytes_written,
                         cohort_error *error) {
  uint64_t *const digest = cohort_allocate((size_t)(checkpoint->flats + 1) * sizeof *digest);
  for (int i = 0; i < checkpoint->flats; i++) digest[i] = cohort_flat_digest(comm, &checkpoint->flat[i]);
  cohort_status status = comm->rank == 0 ? create(state, checkpoint, digest, error) : COHORT_DONE;
  free(digest);
  COHORT_TRY(cohort_comm_agree_error(comm, status, error));
  cohort_comm_broadcast(comm, 0, state->region, (size_t)checkpoint->flats * sizeof *state->region);
  COHORT_TRY(write_data(comm, state, checkpoint, bytes_written, error));
  status = comm->rank == 0 ? publish(state, checkpoint->lock, error) : COHORT_DONE;
  return cohort_comm_agree_error(comm, status, error);
}

cohort_status cohort_checkpoint_save(cohort_comm *comm, const char *directory, const char *name,
                                     const cohort_checkpoint *checkpoint, uint64_t *bytes_written,
                                     cohort_error *error) {
  save state;
  uint64_t written = 0;
  cohort_status status = begin(checkpoint, directory, name, &state, error);
  status = cohort_comm_agree_error(comm, status, error);
  if (status == COHORT_DONE) {
    status = run(comm, &state, checkpoint, &written, error);
    if (status != COHORT_DONE && status != COHORT_RANK_LOST && comm->rank == 0) remove_hidden(&state);
  }
  end(&state);
  if (status == COHORT_DONE && bytes_written) *bytes_written = written;
  return status;
}
