/* Event files of TensorBoard. Invariant: the files of a run, read in the order of their names, tell every row once: a
 * session says where it starts, which takes back what earlier ones have told of later steps. A scalar costs a record.
 */
#include "io/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "event.pb-c.h"
#include "io/file.h"

struct cohort_tensorboard {
  FILE *file;
};

/* CRC-32C, masked as TFRecord files want it. */
static uint32_t masked_checksum(const uint8_t *data, size_t length) {
  uint32_t sum = 0xFFFFFFFFu;
  for (size_t i = 0; i < length; i++) {
    sum ^= data[i];
    for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (0x82F63B78u & (0u - (sum & 1)));
  }
  sum = ~sum;
  return (sum >> 15 | sum << 17) + 0xA282EAD8u;
}

/* A record: length, its checksum, the message, its checksum; little-endian, as the machines are that this runs on. */
static void write_event(cohort_tensorboard *board, Cohort__Event *event) {
  uint8_t message[512];
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  event->wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  const uint64_t length = cohort__event__get_packed_size(event);
  if (length > sizeof message) return;
  (void)cohort__event__pack(event, message);
  const uint32_t head = masked_checksum((const uint8_t *)&length, sizeof length),
                 tail = masked_checksum(message, length);
  if (ferror(board->file)) return; /* half a record may stand there: readers would stop at it anyway */
  (void)fwrite(&length, sizeof length, 1, board->file);
  (void)fwrite(&head, sizeof head, 1, board->file);
  (void)fwrite(message, length, 1, board->file);
  (void)fwrite(&tail, sizeof tail, 1, board->file);
}

static const char first_part[] = "events.out.tfevents.", last_part[] = ".cohort";

/* The step that a session's file starts from, by its name; -1: it is none of ours. */
static int64_t start_of(const char *name) {
  const size_t length = sizeof first_part - 1;
  if (strncmp(name, first_part, length) != 0) return -1;
  char *end = NULL;
  const long long step = strtoll(name + length, &end, 10);
  return end == name + length || strcmp(end, last_part) != 0 ? -1 : step;
}

/* Files of sessions that began later, on a way that the run has left: they would be read after this session's. */
static void remove_later(const char *directory, int64_t step) {
  DIR *folder = opendir(directory);
  if (!folder) return;
  for (struct dirent *entry; (entry = readdir(folder));)
    if (start_of(entry->d_name) > step) (void)unlinkat(dirfd(folder), entry->d_name, 0);
  (void)closedir(folder);
}

/* A version, and where the session starts: readers forget the events of that step and later ones. */
static void write_start(cohort_tensorboard *board, int64_t step) {
  Cohort__Event event = COHORT__EVENT__INIT;
  char version[] = "brain.Event:2";
  event.file_version = version;
  write_event(board, &event);
  if (step < 0) return;
  Cohort__Event start = COHORT__EVENT__INIT;
  Cohort__SessionLog log = COHORT__SESSION_LOG__INIT;
  log.status = COHORT__SESSION_LOG__SESSION_STATUS__START;
  start.step = step + 1;
  start.session_log = &log;
  write_event(board, &start);
}

cohort_status cohort_tensorboard_open(const char *run_directory, int64_t resume_step, cohort_tensorboard **out,
                                      cohort_error *error) {
  const int64_t from = resume_step < 0 ? 0 : resume_step;
  char *directory = cohort_format_text("%s/tensorboard", run_directory);
  remove_later(directory, from);
  char *path = cohort_format_text("%s/%s%010lld%s", directory, first_part, (long long)from, last_part);
  free(directory);
  const int descriptor = cohort_file_create(path);
  FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
  if (!file) {
    const cohort_status status = cohort_file_refused(path, errno, error);
    if (descriptor >= 0) (void)close(descriptor);
    free(path);
    return status;
  }
  free(path);
  cohort_tensorboard *board = cohort_allocate(sizeof *board);
  board->file = file;
  write_start(board, resume_step);
  (void)fflush(file);
  *out = board;
  return COHORT_DONE;
}

void cohort_tensorboard_scalar(cohort_tensorboard *board, int64_t step, const char *tag, double value) {
  char own_tag[128];
  (void)snprintf(own_tag, sizeof own_tag, "%s", tag);
  Cohort__Value scalar = COHORT__VALUE__INIT, *list[1] = {&scalar};
  Cohort__Summary summary = COHORT__SUMMARY__INIT;
  Cohort__Event event = COHORT__EVENT__INIT;
  scalar.tag = own_tag;
  scalar.simple_value = (float)value;
  summary.n_value = 1;
  summary.value = list;
  event.step = step;
  event.summary = &summary;
  write_event(board, &event);
}

void cohort_tensorboard_flush(cohort_tensorboard *board) { (void)fflush(board->file); }

void cohort_tensorboard_close(cohort_tensorboard *board) {
  if (!board) return;
  (void)fclose(board->file);
  free(board);
}
