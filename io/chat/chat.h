/* Chat templates: conversations become text as transformers' apply_chat_template makes them.
 *
 * A template is Jinja as jinja2 3.1 reads it with trim_blocks and lstrip_blocks. What is taken:
 *   statements   for (with a condition, else, two names), if, elif, else, set (also of a namespace), break, continue,
 *                generation
 *   expressions  literals, lists, dictionaries, names, . and [], slices, calls, filters, tests, + - * / // % ** ~, ==
 * != < <= > >= in, not in, not, and, or, inline if names        loop, namespace, range, raise_exception, strftime_now
 * (the date that is given, else refused) filters      trim tojson length count default d upper lower capitalize first
 * last join string int list items reverse replace safe select reject selectattr rejectattr map tests        defined
 * undefined none string mapping iterable sequence number integer float boolean true false equalto eq ne sameas in even
 * odd divisibleby methods      of strings: strip lstrip rstrip split startswith endswith upper lower replace capitalize
 * join; of dictionaries: items keys values get Anything else is refused by name, with line and column, when the
 * template is read; nothing is guessed. Undefined values are as in jinja2: empty where they are printed, false in
 * conditions, a fault where they are used. */
#ifndef COHORT_IO_CHAT_CHAT_H
#define COHORT_IO_CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct json_t;
typedef struct cohort_chat cohort_chat;

/* COHORT_BAD_DATA, "NAME:LINE:COLUMN: what": what is not Jinja, or not taken. */
cohort_status cohort_chat_parse(const char *name, const char *text, size_t length, cohort_chat **out,
                                cohort_error *error);
/* `path`: a template (.jinja), a tokenizer_config.json, or a folder with chat_template.jinja or that; the texts of the
 * special tokens that templates name (bos_token ...) come from the tokenizer_config.json. Of several templates that are
 * named the one called default is taken. */
cohort_status cohort_chat_read(const char *path, cohort_chat **out, cohort_error *error);
void cohort_chat_destroy(cohort_chat *chat);
/* A name that templates may read: "bos_token"; NULL takes it away. */
void cohort_chat_set(cohort_chat *chat, const char *name, const char *text);
/* Whether it marks what the assistant says. */
bool cohort_chat_marks(const cohort_chat *chat);
unsigned long long cohort_chat_digest(const cohort_chat *chat);

typedef struct cohort_chat_span {
  size_t first, end;
} cohort_chat_span;

typedef struct cohort_chat_text {
  char *text; /* UTF-8, owned; NULL ends it */
  size_t length;
  int spans; /* of bytes that lie in {% generation %} */
  cohort_chat_span *span;
} cohort_chat_text;

typedef struct cohort_chat_options {
  bool add_generation_prompt;
  const char *date; /* what strftime_now gives, or NULL */
} cohort_chat_options;

/* `messages` is JSON: [{"role", "content", ...}, ...]. COHORT_BAD_DATA: what the template says of a conversation that
 * it refuses, in one line without a place. */
cohort_status cohort_chat_render(const cohort_chat *chat, const char *messages, const cohort_chat_options *options,
                                 cohort_chat_text *out, cohort_error *error);
cohort_status cohort_chat_render_json(const cohort_chat *chat, const struct json_t *messages,
                                      const cohort_chat_options *options, cohort_chat_text *out, cohort_error *error);
void cohort_chat_text_release(cohort_chat_text *text);

#endif
