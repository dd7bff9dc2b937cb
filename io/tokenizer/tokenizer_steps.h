/* The steps of a tokenizer.json: what its normalizers, pre-tokenizers and decoders are made of. */
#ifndef COHORT_IO_TOKENIZER_STEPS_H
#define COHORT_IO_TOKENIZER_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/tokenizer/tokenizer_pattern.h"
#include "io/tokenizer/tokenizer_unicode.h"

typedef enum {
  COHORT_STEP_FORM,          /* a normal form */
  COHORT_STEP_LOWER,         /* lower case */
  COHORT_STEP_TRIM,          /* white space at the ends */
  COHORT_STEP_PREPEND,       /* `text` before a text that is not empty */
  COHORT_STEP_REPLACE,       /* `pattern` by `text` */
  COHORT_STEP_ALPHABET,      /* bytes by GPT-2's characters; as a decoder the other way */
  COHORT_STEP_SPLIT,         /* at matches of `pattern` */
  COHORT_STEP_CLASS,         /* at characters of `class` */
  COHORT_STEP_SPACE,         /* a space before a piece that has none */
  COHORT_STEP_METASPACE,     /* spaces by `text`, and one before the piece by `scheme`; as a decoder the other way */
  COHORT_STEP_FIXED,         /* pieces of `size` characters */
  COHORT_STEP_BYTE_FALLBACK, /* decoder: <0x0A> by its byte */
  COHORT_STEP_FUSE,          /* decoder: tokens become one */
  COHORT_STEP_STRIP,  /* decoder: `text`, one character, at most `start` times before and `stop` behind a token */
  COHORT_STEP_SUFFIX, /* decoder: `text` by a space, by nothing in the last token */
} cohort_step_kind;

/* What becomes of a match when a piece is split. */
typedef enum {
  COHORT_SPLIT_ISOLATED,
  COHORT_SPLIT_REMOVED,
  COHORT_SPLIT_MERGED_WITH_PREVIOUS,
  COHORT_SPLIT_MERGED_WITH_NEXT,
  COHORT_SPLIT_CONTIGUOUS,
} cohort_split_behaviour;

typedef enum { COHORT_PREPEND_ALWAYS, COHORT_PREPEND_FIRST, COHORT_PREPEND_NEVER } cohort_prepend_scheme;

typedef struct cohort_text_step {
  cohort_step_kind kind;
  cohort_normal_form form;
  cohort_pattern *pattern;
  cohort_split_behaviour behaviour;
  bool invert; /* what matches is between the matches */
  cohort_character_class class;
  int32_t given; /* of COHORT_CLASS_CODE */
  cohort_prepend_scheme scheme;
  char *text;
  size_t length, size, start, stop;
  bool left, right; /* trim */
} cohort_text_step;

enum { COHORT_MOST_STEPS = 64 };
typedef struct cohort_step_list {
  cohort_text_step step[COHORT_MOST_STEPS];
  int count;
} cohort_step_list;

void cohort_steps_release(cohort_step_list *list);

/* Normalizers: puts the new text into `out`. Returns false when the text's beginning has gone. */
bool cohort_steps_normalise(const cohort_step_list *list, cohort_pattern_scratch *scratch, const char *text,
                            size_t length, cohort_text *out);
/* Pre-tokenizers: visits the pieces of a text in order. `first`: the text begins where all of it does; `bytes`: pieces
 * stay bytes for the alphabet, which is the last step but those of a fixed size. */
typedef void (*cohort_piece_visitor)(void *argument, const char *piece, size_t length);
void cohort_steps_cut(const cohort_step_list *list, cohort_pattern_scratch *scratch, bool bytes, const char *text,
                      size_t length, bool first, cohort_piece_visitor visit, void *argument);
/* Decoders: the text of tokens, appended. text: [count]. */
typedef struct cohort_token_text {
  const char *text;
  size_t length;
} cohort_token_text;
void cohort_steps_decode(const cohort_step_list *list, cohort_pattern_scratch *scratch, const cohort_token_text *token,
                         int64_t count, cohort_text *out);

#endif
