/* TensorBoard's event files: records of a length, its checksum, a protobuf message, its checksum. Appended a record a
 * value and flushed with the metrics. */
#include "io/tensorboard.h"

#include <errno.h>
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
  event->wall_time = (double)time(NULL);
  const uint64_t length = cohort__event__get_packed_size(event);
  if (length > sizeof message) return;
  (void)cohort__event__pack(event, message);
  const uint32_t head = masked_checksum((const uint8_t *)&length, sizeof length),
                 tail = masked_checksum(message, length);
  (void)fwrite(&length, sizeof length, 1, board->file);
  (void)fwrite(&head, sizeof head, 1, board->file);
  (void)fwrite(message, length, 1, board->file);
  (void)fwrite(&tail, sizeof tail, 1, board->file);
}

cohort_status cohort_tensorboard_open(const char *run_directory, int64_t resume_step, cohort_tensorboard **out,
                                      cohort_error *error) {
  char *path = cohort_format_text("%s/tensorboard/events.out.tfevents.%010lld.cohort", run_directory,
                                  (long long)(resume_step < 0 ? 0 : resume_step));
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
  Cohort__Event event = COHORT__EVENT__INIT;
  char version[] = "brain.Event:2";
  event.file_version = version;
  write_event(board, &event);
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

void cohort_tensorboard_close(cohort_tensorboard *board) {
  if (!board) return;
  (void)fclose(board->file);
  free(board);
}
