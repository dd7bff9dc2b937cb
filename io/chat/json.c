/* Values as Python writes them: json.dumps with ensure_ascii=False, and str of numbers. Costs the value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/chat/chat_own.h"

/* The shortest digits that give the same double; an exponent below 1e-4 and from 1e16. */
void cohort_chat_real(double value, cohort_text *out) {
  char digits[40];
  int precision = 1;
  do (void)snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
  while (strtod(digits, NULL) != value && precision++ < 17);
  const int exponent = atoi(strchr(digits, 'e') + 1);
  if (exponent >= -4 && exponent < 16) {
    const int places = precision - 1 - exponent;
    cohort_text_put(out, "%.*f%s", places > 0 ? places : 0, value, places > 0 ? "" : ".0");
    return;
  }
  cohort_text_put(out, "%.*se%c%02d", (int)(strchr(digits, 'e') - digits), digits, exponent < 0 ? '-' : '+',
                  abs(exponent));
}

static void put_string(const char *text, cohort_text *out) {
  static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
  cohort_text_put(out, "\"");
  for (; *text; text++) {
    const char *known = strchr(from, *text);
    if (known)
      cohort_text_put(out, "\\%c", to[known - from]);
    else if ((unsigned char)*text < 32)
      cohort_text_put(out, "\\u%04x", (unsigned)*text);
    else
      cohort_text_put(out, "%c", *text);
  }
  cohort_text_put(out, "\"");
}

static void new_line(int indent, int depth, cohort_text *out) {
  if (indent >= 0) cohort_text_put(out, "\n%*s", indent * depth, "");
}

void cohort_chat_dump(const json_t *value, int indent, int depth, cohort_text *out) {
  const char *comma = indent >= 0 ? "," : ", ";
  if (json_is_string(value)) {
    put_string(json_string_value(value), out);
  } else if (json_is_integer(value)) {
    cohort_text_put(out, "%lld", (long long)json_integer_value(value));
  } else if (json_is_real(value)) {
    cohort_chat_real(json_real_value(value), out);
  } else if (json_is_array(value)) {
    const size_t size = json_array_size(value);
    cohort_text_put(out, "[");
    for (size_t i = 0; i < size; i++) {
      if (i) cohort_text_put(out, "%s", comma);
      new_line(indent, depth + 1, out);
      cohort_chat_dump(json_array_get(value, i), indent, depth + 1, out);
    }
    if (size) new_line(indent, depth, out);
    cohort_text_put(out, "]");
  } else if (json_is_object(value)) {
    const char *key;
    json_t *each;
    bool first = true;
    cohort_text_put(out, "{");
    json_object_foreach((json_t *)(size_t)value, key, each) {
      if (!first) cohort_text_put(out, "%s", comma);
      first = false;
      new_line(indent, depth + 1, out);
      put_string(key, out);
      cohort_text_put(out, ": ");
      cohort_chat_dump(each, indent, depth + 1, out);
    }
    if (!first) new_line(indent, depth, out);
    cohort_text_put(out, "}");
  } else {
    cohort_text_put(out, "%s", json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
  }
}
