/* Ends of completions. A stop text is looked for in the last tokens alone: as many as it has bytes, and one more.
 * Invariant: every token stands for a byte or more, or for nothing. */
#include "train/rollout/stops.h"

#include <stdlib.h>
#include <string.h>

void cohort_stops_add_ends(cohort_stops *stops, const cohort_tokenizer *tokenizer) {
  int count = 0;
  const int *end = cohort_tokenizer_stops(tokenizer, &count);
  for (int i = 0; i < count && stops->ends < COHORT_MAX_STOPS; i++) stops->end[stops->ends++] = end[i];
}

static void add_text(cohort_stops *stops, const cohort_document *written, const char *path, cohort_faults *faults) {
  if (written->kind != COHORT_SCALAR || !written->text || !*written->text)
    cohort_faults_add(faults, written, "%s: a stop text is empty, or no text", path);
  else if (stops->texts == COHORT_MAX_STOPS)
    cohort_faults_add(faults, written, "%s: more than %d stop texts", path, COHORT_MAX_STOPS);
  else
    stops->text[stops->texts++] = written->text;
}

void cohort_stops_read(cohort_stops *stops, const cohort_document *written, const char *path, cohort_faults *faults) {
  if (!written) return;
  if (written->kind != COHORT_LIST) add_text(stops, written, path, faults);
  for (size_t i = 0; written->kind == COHORT_LIST && i < written->count; i++)
    add_text(stops, written->children[i], path, faults);
}

size_t cohort_stops_before(const cohort_stops *stops, const char *text, size_t length) {
  size_t before = length;
  for (int s = 0; s < stops->texts; s++) {
    const char *found = memmem(text, length, stops->text[s], strlen(stops->text[s]));
    if (found && (size_t)(found - text) < before) before = (size_t)(found - text);
  }
  return before;
}

static bool has_text(const cohort_stops *stops, const int32_t *completion, int64_t count) {
  int64_t most = 0;
  size_t length = 0;
  for (int s = 0; s < stops->texts; s++)
    if ((int64_t)strlen(stops->text[s]) > most) most = (int64_t)strlen(stops->text[s]);
  const int64_t looked = count < most + 1 ? count : most + 1;
  char *text = cohort_tokenizer_decode(stops->tokenizer, completion + count - looked, looked, &length);
  const bool found = cohort_stops_before(stops, text, length) < length;
  free(text);
  return found;
}

cohort_finish cohort_stops_reached(const cohort_stops *stops, const int32_t *completion, int64_t count) {
  for (int e = 0; e < stops->ends; e++)
    if (stops->end[e] == completion[count - 1]) return COHORT_FINISH_END;
  return stops->texts && has_text(stops, completion, count) ? COHORT_FINISH_STOP : COHORT_FINISH_NOT;
}
