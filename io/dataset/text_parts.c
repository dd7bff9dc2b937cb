/* A text's lines by who speaks: one pass over lines, and a table of names that is looked up where the name changes.
 * Costs the pattern's time a line, and the number of parts at each change (chapters, books, speakers: few). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/owners.h"

typedef struct finding {
  const char *text;
  pcre2_code *code;
  pcre2_match_data *match;
  cohort_text_parts parts;
  size_t *name, *name_length; /* [parts]: where in the text a part's name stands first */
} finding;

static int32_t part_of(finding *own, size_t first, size_t length) {
  for (int64_t p = own->parts.parts - 1; p >= 0; p--)
    if (own->name_length[p] == length && memcmp(own->text + own->name[p], own->text + first, length) == 0)
      return (int32_t)p;
  const size_t count = (size_t)++own->parts.parts;
  if ((count & (count - 1)) == 0) { /* at every power of two room is doubled */
    own->name = cohort_reallocate(own->name, 2 * count * sizeof *own->name);
    own->name_length = cohort_reallocate(own->name_length, 2 * count * sizeof *own->name_length);
  }
  own->name[count - 1] = first;
  own->name_length[count - 1] = length;
  return (int32_t)(count - 1);
}

static void add_run(finding *own, size_t first, int32_t part) {
  cohort_text_parts *parts = &own->parts;
  if (parts->runs && parts->part[parts->runs - 1] == part) return;
  const size_t count = (size_t)++parts->runs;
  if ((count & (count - 1)) == 0) {
    parts->first = cohort_reallocate(parts->first, 2 * count * sizeof *parts->first);
    parts->part = cohort_reallocate(parts->part, 2 * count * sizeof *parts->part);
  }
  parts->first[count - 1] = count == 1 ? 0 : first;
  parts->part[count - 1] = part;
}

static void read_line(finding *own, size_t first, size_t end) {
  const int found = pcre2_match(own->code, (PCRE2_SPTR)own->text + first, end - first, 0, 0, own->match, NULL);
  if (found < 1) return;
  const PCRE2_SIZE *range = pcre2_get_ovector_pointer(own->match);
  const int group = found > 1 && range[2] != PCRE2_UNSET ? 1 : 0;
  add_run(own, first, part_of(own, first + range[2 * group], range[2 * group + 1] - range[2 * group]));
}

cohort_status cohort_text_parts_find(const char *text, size_t length, const char *pattern, cohort_text_parts *out,
                                     cohort_error *error) {
  int fault = 0;
  PCRE2_SIZE place = 0;
  finding own = {.text = text};
  own.code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF,
                           &fault, &place, NULL);
  if (!own.code) {
    char why[128] = "";
    (void)pcre2_get_error_message(fault, (PCRE2_UCHAR *)why, sizeof why);
    return cohort_fail(error, COHORT_BAD_CONFIG, "pattern: %s at character %zu of %s", why, (size_t)place + 1, pattern);
  }
  (void)pcre2_jit_compile(own.code, PCRE2_JIT_COMPLETE);
  own.match = pcre2_match_data_create_from_pattern(own.code, NULL);
  for (size_t first = 0; first < length;) {
    const char *newline = memchr(text + first, '\n', length - first);
    const size_t end = newline ? (size_t)(newline - text) : length;
    read_line(&own, first, end);
    first = end + 1;
  }
  pcre2_match_data_free(own.match);
  pcre2_code_free(own.code);
  free(own.name);
  free(own.name_length);
  *out = own.parts;
  if (out->runs) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA, "pattern: no line of the text matches %s", pattern);
}

void cohort_text_parts_release(cohort_text_parts *parts) {
  free(parts->first);
  free(parts->part);
  memset(parts, 0, sizeof *parts);
}
