/* The text that a run trains on. What a command printed lies here from the moment it is shared until the task takes it:
 * one copy a rank. The cost is that of the text. */
#include "train/run/source_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"

enum { WORD_BYTES = 8, LEAST_WORDS = 6 };

static const char *command_of(const cohort_settings *settings, const char **key) {
  const cohort_data_settings *const data = &settings->data_settings;
  *key = cohort_text_is_command(data->text) ? "data.text" : "data.lines";
  if (cohort_text_is_command(data->text)) return data->text;
  return cohort_text_is_command(data->lines) ? data->lines : NULL;
}

cohort_status cohort_source_text_share(cohort_comm *comm, const cohort_log *log, bool plan_only,
                                       cohort_settings *settings, cohort_error *error) {
  const char *key = NULL, *const command = command_of(settings, &key);
  if (!command) return COHORT_DONE;
  cohort_shared_text *const shared = cohort_allocate(sizeof *shared);
  settings->shared_text = shared;
  shared->stands_in = plan_only;
  if (plan_only) {
    cohort_log_line(log, "%s: check does not run %s; it plans with a text of its own", key, command);
    return COHORT_DONE;
  }
  cohort_log_line(log, "%s: running %s", key, command + 1);
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) status = cohort_text_read(command, &shared->text, &shared->bytes, error);
  COHORT_TRY(cohort_comm_agree_error(comm, status, error));
  cohort_comm_broadcast(comm, 0, &shared->bytes, sizeof shared->bytes);
  if (comm->rank != 0) shared->text = cohort_allocate(shared->bytes + 1);
  cohort_comm_broadcast(comm, 0, shared->text, shared->bytes);
  return COHORT_DONE;
}

bool cohort_source_text_stands_in(const cohort_settings *settings) {
  return settings->shared_text && settings->shared_text->stands_in;
}

/* Bytes that no tokenizer joins. A line has six words or more and half as many bytes again as the context, so that of
 * pairs made from it the prompt leaves room and the sequence fills the context. */
static void stand_in(int64_t context, char **text, size_t *length) {
  const size_t wanted = (size_t)context * 3 / 2, sixth = wanted / LEAST_WORDS;
  const size_t word = sixth < 2 ? 2 : sixth > WORD_BYTES ? WORD_BYTES : sixth;
  const size_t line = word * (wanted / word > LEAST_WORDS ? wanted / word : LEAST_WORDS);
  char *const own = cohort_allocate(COHORT_STAND_IN_LINES * line + 1);
  for (size_t i = 0; i < COHORT_STAND_IN_LINES * line; i++) {
    const size_t number = i / line, at = i % line;
    own[i] = (char)(1 + (number >> 3 * (at / word % 2)) % 8); /* the line's number in octal: no two are alike */
    if (at % word == word - 1) own[i] = at == line - 1 ? '\n' : ' ';
  }
  *text = own;
  *length = COHORT_STAND_IN_LINES * line;
}

cohort_status cohort_source_text_take(const cohort_settings *settings, const char *path, int64_t context, char **text,
                                      size_t *length, cohort_error *error) {
  if (!cohort_text_is_command(path)) return cohort_text_read(path, text, length, error);
  cohort_shared_text *const shared = settings->shared_text;
  if (cohort_source_text_stands_in(settings)) {
    stand_in(context, text, length);
    return COHORT_DONE;
  }
  if (!shared || !shared->text) return cohort_fail(error, COHORT_BUG, "%s: was not run, or its text is taken", path);
  *text = shared->text;
  *length = shared->bytes;
  shared->text = NULL;
  return COHORT_DONE;
}
