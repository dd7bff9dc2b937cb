/* Texts to learn from, JSONL, an object a line, in TRL's shapes. A shape is the keys that it has:
 *
 *   text         {"text"}, or {"messages"}
 *   prompt       {"prompt"}
 *   completion   {"prompt", "completion"}
 *   unpaired     {"prompt", "completion", "label": true}
 *   preference   {"prompt", "chosen", "rejected"}; without "prompt" it is what both begin with, up to the last space
 *                before they differ; "prompt_rejected": the rejected one's own
 *   list         {"prompt", "completions": [...]}, with "scores": [...] they are put in order, the best first
 *   stepwise     {"prompt", "completions": [...], "labels": [...]}: one completion in steps
 *
 * All lines of a file have the first one's shape, and are all of texts or all conversations: then a prompt and each
 * completion is a list of messages, {"role", "content"}, which a chat template renders (io/chat/chat.h). The prompt's
 * text is that of its messages with the beginning of an answer; a completion's what the whole conversation has after
 * it. Of a preference without a prompt it is the messages that both begin with.
 *
 * A completion of a preference may be a list of texts: its steps, one
 * after another as they stand. Further keys are read where they are asked for (base/field.h) and else passed over: of
 * samples under the field's name; of completions as NAME_chosen and NAME_rejected, NAMEs (a list of them), or NAME;
 * where the numbers are of steps or tokens the name has an s, and what it holds is a list.
 *
 * Refused, with file and line: an empty prompt, as nothing would predict a completion's first token, an empty
 * completion, two that are equal after one prompt, fields that are missing or have other counts. */
#ifndef COHORT_IO_DATASET_COMPLETIONS_H
#define COHORT_IO_DATASET_COMPLETIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/field.h"
#include "base/status.h"
#include "io/chat/chat.h"

typedef enum {
  COHORT_DATA_TEXT,
  COHORT_DATA_PROMPT,
  COHORT_DATA_COMPLETION,
  COHORT_DATA_UNPAIRED,
  COHORT_DATA_PREFERENCE,
  COHORT_DATA_LIST,
  COHORT_DATA_STEPWISE,
} cohort_data_shape;
const char *cohort_data_shape_name(cohort_data_shape shape);

/* Bytes [first, end) of a text. */
typedef cohort_chat_span cohort_span;

typedef struct cohort_completion {
  char *text;        /* UTF-8; NULL: there is none, a list is shorter */
  int parts;         /* steps, or of a conversation what the assistant says; 0: it is not in parts */
  cohort_span *part; /* [parts] */
} cohort_completion;

/* The numbers of a field; none: the data lack it. */
typedef struct cohort_field_values {
  float *value;  /* of samples [count]; of completions [count * sides], 0 where there is none */
  float **list;  /* of steps and tokens [count * sides] */
  int *elements; /* of each list */
} cohort_field_values;

typedef struct cohort_completions {
  cohort_data_shape shape;
  bool conversational;
  char *path;    /* for messages: sample i stands in line first + i + 1; NULL: it is of no file */
  int64_t first; /* of a view */
  int64_t count;
  int sides;                     /* completions of a sample, at most; of prompts 0 */
  char **prompt;                 /* [count]; of texts "" */
  char **prompt_rejected;        /* [count], or NULL: there are none */
  cohort_completion *completion; /* [count * sides] */
  bool *desirable;               /* [count], of unpaired; else NULL */
  const cohort_field *fields;    /* as asked for */
  cohort_field_values field[COHORT_MAX_FIELDS];
  uint64_t digest;
} cohort_completions;

typedef struct cohort_completions_options {
  const cohort_field *fields; /* a table that outlives the result, or NULL */
  const cohort_chat *chat;    /* NULL: conversations are refused */
  const char *why_no_chat;    /* said then; or NULL */
  const char *date;           /* for templates that ask for it, or NULL */
  bool turns;                 /* the parts of conversations too: by the template's marks, else by rendering prefixes */
} cohort_completions_options;

/* `options` may be NULL: none. */
cohort_status cohort_completions_read(const char *path, const cohort_completions_options *options,
                                      cohort_completions *out, cohort_error *error);
/* Samples [first, first + count) in place: nothing is copied, and not to be released. */
cohort_completions cohort_completions_view(const cohort_completions *own, int64_t first, int64_t count);
void cohort_completions_release(cohort_completions *own);

#endif
