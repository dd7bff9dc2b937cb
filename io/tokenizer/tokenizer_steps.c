/* Normalizers and pre-tokenizers at work. A piece goes through all steps before the next one is cut, so a text of any
 * length needs memory for one changed copy a step. Pieces are pointers into the text wherever no step changes it. */
#include "io/tokenizer/tokenizer_steps.h"

#include <stdlib.h>
#include <string.h>

void cohort_steps_release(cohort_step_list *list) {
  for (int i = 0; i < list->count; i++) {
    cohort_pattern_destroy(list->step[i].pattern);
    free(list->step[i].text);
  }
  list->count = 0;
}

/* Without the white space at its ends; true when there was some before it. */
static bool trim(const cohort_text_step *step, const char *text, size_t length, cohort_text *out) {
  size_t start = 0, bytes = 0;
  while (step->left && start < length &&
         cohort_character_in(COHORT_CLASS_SPACE, 0, cohort_utf8_read(text + start, length - start, &bytes)))
    start += bytes;
  while (step->right && length > start &&
         cohort_character_in(COHORT_CLASS_SPACE, 0, cohort_utf8_read_last(text + start, length - start, &bytes)))
    length -= bytes;
  cohort_text_put_bytes(out, text + start, length - start);
  return start > 0;
}

static void replace(const cohort_text_step *step, cohort_pattern_scratch *scratch, const char *text, size_t length,
                    cohort_text *out) {
  cohort_pattern_search search = cohort_pattern_begin(step->pattern, scratch, text, length);
  size_t start = 0, end = 0, told = 0;
  while (length && cohort_pattern_next(&search, &start, &end)) {
    cohort_text_put_bytes(out, text + told, start - told);
    cohort_text_put_bytes(out, step->text, step->length);
    told = end;
  }
  cohort_text_put_bytes(out, text + told, length - told);
}

static bool normalise(const cohort_text_step *step, cohort_pattern_scratch *scratch, const char *text, size_t length,
                      cohort_text *out) {
  switch (step->kind) {
    case COHORT_STEP_FORM:
      cohort_normalise(step->form, text, length, out);
      return true;
    case COHORT_STEP_LOWER:
      cohort_lower(text, length, out);
      return true;
    case COHORT_STEP_TRIM:
      return !trim(step, text, length, out);
    case COHORT_STEP_PREPEND:
      if (length) cohort_text_put_bytes(out, step->text, step->length);
      break;
    case COHORT_STEP_REPLACE:
      replace(step, scratch, text, length, out);
      return true;
    case COHORT_STEP_ALPHABET:
      cohort_alphabet_write(text, length, out);
      return true;
    default:
      break;
  }
  cohort_text_put_bytes(out, text, length);
  return true;
}

bool cohort_steps_normalise(const cohort_step_list *list, cohort_pattern_scratch *scratch, const char *text,
                            size_t length, cohort_text *out) {
  cohort_text before = {0};
  bool first = true;
  out->length = 0;
  if (!list->count) cohort_text_put_bytes(out, text, length);
  for (int i = 0; i < list->count; i++) {
    const cohort_text swapped = before;
    before = *out;
    *out = swapped;
    out->length = 0;
    cohort_text_put_bytes(out, "", 0);
    if (!normalise(&list->step[i], scratch, i ? before.text : text, i ? before.length : length, out)) first = false;
  }
  cohort_text_release(&before);
  return first;
}

typedef struct cutting {
  const cohort_step_list *list;
  cohort_pattern_scratch *scratch;
  bool bytes;
  cohort_piece_visitor visit;
  void *argument;
} cutting;

static void cut(const cutting *own, int at, const char *text, size_t length, bool first);

/* A piece that is being split, at step `next` - 1. */
typedef struct splitting {
  const cutting *own;
  int next;
  const char *text;
  bool first, match; /* match: of what is held */
  bool held;
  size_t start, end; /* what is held */
  cohort_split_behaviour behaviour;
} splitting;

static void let_go(splitting *split) {
  if (split->held && split->end > split->start)
    cut(split->own, split->next, split->text + split->start, split->end - split->start,
        split->first && split->start == 0);
  split->held = false;
}

/* What is removed is text: bytes that are no UTF-8 stay. */
static void keep_strangers(splitting *split, size_t start, size_t end) {
  size_t bytes = 0, first = start;
  let_go(split);
  for (size_t at = start; at <= end; at += bytes) {
    if (at < end && cohort_utf8_read(split->text + at, end - at, &bytes) < 0) continue;
    if (first < at) cut(split->own, split->next, split->text + first, at - first, split->first && first == 0);
    if (at == end) break;
    first = at + bytes;
  }
}

/* The next stretch, a match or what is between. */
static void add_stretch(splitting *split, size_t start, size_t end, bool match) {
  const bool before = split->held && split->match;
  bool joins = false;
  switch (split->behaviour) {
    case COHORT_SPLIT_ISOLATED:
      break;
    case COHORT_SPLIT_REMOVED:
      if (!match) break;
      keep_strangers(split, start, end);
      return;
    case COHORT_SPLIT_CONTIGUOUS:
      joins = split->held && before == match;
      break;
    case COHORT_SPLIT_MERGED_WITH_PREVIOUS:
      joins = split->held && match && !before;
      break;
    case COHORT_SPLIT_MERGED_WITH_NEXT:
      joins = split->held && before && !match;
      break;
  }
  if (!joins) {
    let_go(split);
    split->start = start;
  }
  split->end = end;
  split->match = match;
  split->held = true;
}

static void split_by_pattern(const cohort_text_step *step, splitting *split, size_t length) {
  cohort_pattern_search search = cohort_pattern_begin(step->pattern, split->own->scratch, split->text, length);
  size_t start = 0, end = 0, told = 0;
  while (cohort_pattern_next(&search, &start, &end)) {
    if (told != start) add_stretch(split, told, start, step->invert);
    add_stretch(split, start, end, !step->invert);
    told = end;
  }
  if (told != length) add_stretch(split, told, length, step->invert);
  let_go(split);
}

static void split_by_class(const cohort_text_step *step, splitting *split, size_t length) {
  size_t bytes = 0, told = 0;
  for (size_t at = 0; at < length; at += bytes) {
    const int32_t code = cohort_utf8_read(split->text + at, length - at, &bytes);
    if (!cohort_character_in(step->class, step->given, code)) continue;
    if (told < at) add_stretch(split, told, at, false);
    add_stretch(split, at, at + bytes, true);
    told = at + bytes;
  }
  if (told < length) add_stretch(split, told, length, false);
  let_go(split);
}

static void cut_fixed(const cutting *own, int next, const char *text, size_t length, bool first) {
  const size_t size = own->list->step[next - 1].size;
  for (size_t at = 0; at < length;) {
    size_t end = at, bytes = 1;
    for (size_t n = 0; n < size && end < length; n++, end += bytes)
      if (!own->bytes) (void)cohort_utf8_read(text + end, length - end, &bytes);
    cut(own, next, text + at, end - at, first && at == 0);
    at = end;
  }
}

/* Steps that change the piece. */
static void cut_changed(const cutting *own, int next, const char *text, size_t length, bool first) {
  const cohort_text_step *step = &own->list->step[next - 1];
  cohort_text changed = {0};
  size_t begins = 0;
  if (step->kind == COHORT_STEP_ALPHABET) {
    cohort_alphabet_write(text, length, &changed);
  } else if (step->kind == COHORT_STEP_SPACE) {
    cohort_text_put_bytes(&changed, " ", 1);
    cohort_text_put_bytes(&changed, text, length);
  } else {
    cohort_text_put_bytes(&changed, step->text, step->length);
    for (size_t at = 0; at < length;) {
      const char *space = memchr(text + at, ' ', length - at);
      const size_t end = space ? (size_t)(space - text) : length;
      cohort_text_put_bytes(&changed, text + at, end - at);
      if (space) cohort_text_put_bytes(&changed, step->text, step->length);
      at = end + (space != NULL);
    }
    const bool has =
        changed.length >= 2 * step->length && memcmp(changed.text + step->length, step->text, step->length) == 0;
    const bool wanted = step->scheme == COHORT_PREPEND_ALWAYS || (step->scheme == COHORT_PREPEND_FIRST && first);
    begins = has || !wanted ? step->length : 0;
  }
  cut(own, next, changed.text + begins, changed.length - begins, first);
  cohort_text_release(&changed);
}

static void cut(const cutting *own, int at, const char *text, size_t length, bool first) {
  if (!length) return;
  if (at == own->list->count) {
    own->visit(own->argument, text, length);
    return;
  }
  const cohort_text_step *step = &own->list->step[at];
  splitting split = {.own = own, .next = at + 1, .text = text, .first = first, .behaviour = step->behaviour};
  switch (step->kind) {
    case COHORT_STEP_SPLIT:
      split_by_pattern(step, &split, length);
      return;
    case COHORT_STEP_CLASS:
      split_by_class(step, &split, length);
      return;
    case COHORT_STEP_FIXED:
      cut_fixed(own, at + 1, text, length, first);
      return;
    case COHORT_STEP_SPACE:
      if (text[0] == ' ') break;
      cut_changed(own, at + 1, text, length, first);
      return;
    case COHORT_STEP_ALPHABET:
      if (own->bytes) break;
      cut_changed(own, at + 1, text, length, first);
      return;
    case COHORT_STEP_METASPACE:
      cut_changed(own, at + 1, text, length, first);
      return;
    default:
      break;
  }
  cut(own, at + 1, text, length, first);
}

void cohort_steps_cut(const cohort_step_list *list, cohort_pattern_scratch *scratch, bool bytes, const char *text,
                      size_t length, bool first, cohort_piece_visitor visit, void *argument) {
  const cutting own = {list, scratch, bytes, visit, argument};
  cut(&own, 0, text, length, first);
}
