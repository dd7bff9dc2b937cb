/* Chat templates: every conversation of chat_golden.json (transformers' apply_chat_template,
 * tests/method/golden_chat.py) to the letter, and what is not taken, refused with its place. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "io/chat/chat.h"
#include "scratch.h"

static bool same_spans(const cohort_chat_text *text, const json_t *spans) {
  bool same = text->spans == (int)json_array_size(spans);
  for (int i = 0; same && i < text->spans; i++) {
    const json_t *own = json_array_get(spans, (size_t)i);
    same = text->span[i].first == (size_t)json_integer_value(json_array_get(own, 0)) &&
           text->span[i].end == (size_t)json_integer_value(json_array_get(own, 1));
  }
  return same;
}

static void check_case(const cohort_chat *chat, const char *source, const json_t *one) {
  const cohort_chat_options options = {.add_generation_prompt = json_is_true(json_object_get(one, "generation"))};
  const char *wanted = json_string_value(json_object_get(one, "text"));
  cohort_chat_text made = {0};
  cohort_error error = {0};
  const cohort_status status = cohort_chat_render_json(chat, json_object_get(one, "messages"), &options, &made, &error);
  const bool good = wanted ? status == COHORT_DONE && strcmp(made.text, wanted) == 0 &&
                                 same_spans(&made, json_object_get(one, "spans"))
                           : status == COHORT_BAD_DATA && !strchr(error.text, '\n');
  if (!good) {
    char *messages = json_dumps(json_object_get(one, "messages"), 0);
    printf("\n  %s: %s\n  wanted %s\n  made   %s %s\n", source, messages, wanted ? wanted : "(a refusal)",
           made.text ? made.text : "(nothing)", error.text);
    free(messages);
  }
  CU_ASSERT(good);
  cohort_chat_text_release(&made);
}

static void as_transformers(void) {
  json_t *all = json_load_file(COHORT_UNIT "/io/chat_golden.json", 0, NULL);
  CU_ASSERT_FATAL(json_is_array(all));
  size_t i, k;
  json_t *each, *one, *token;
  json_array_foreach(all, i, each) {
    const json_t *template = json_object_get(each, "template");
    const char *source = json_string_value(json_object_get(each, "source")), *name;
    cohort_chat *chat = NULL;
    cohort_error error = {0};
    const cohort_status status =
        cohort_chat_parse("t", json_string_value(template), json_string_length(template), &chat, &error);
    if (status != COHORT_DONE) printf("\n  %s: %s\n", source, error.text);
    CU_ASSERT_EQUAL(status, COHORT_DONE);
    if (status != COHORT_DONE) continue;
    json_object_foreach(json_object_get(each, "tokens"), name, token)
        cohort_chat_set(chat, name, json_string_value(token));
    json_array_foreach(json_object_get(each, "cases"), k, one) check_case(chat, source, one);
    cohort_chat_destroy(chat);
  }
  json_decref(all);
}

static void what_is_not_taken(void) {
  static const char *const bad[][2] = {{"a\n{% macro m() %}{% endmacro %}", "t:2:4: the statement macro is not taken"},
                                       {"{{ x | shuffle }}", "t:1:8: the filter shuffle is not taken"},
                                       {"{{ x is callable }}", "t:1:9: the test callable is not taken"},
                                       {"{{ x.encode() }}", "the method encode is not taken"},
                                       {"{{ cycler('a') }}", "the function cycler is not taken"},
                                       {"{% if x %}", "expected {% endif %}"},
                                       {"{{ 'a }}", "t:1:4: a string without an end"},
                                       {"{# a", "t:1:1: a comment without an end"},
                                       {"{{ 1 < 2 < 3 }}", "in a chain"},
                                       {"{{ }}", "expected a value"},
                                       {"{% set a, b = 1 %}", "of several names"},
                                       {"{{ (1, 2) }}", "tuples"},
                                       {"{{ a ! b }}", "a character that no tag has"},
                                       {"{{ f(*x) }}", "is not taken"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    cohort_chat *chat = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL(cohort_chat_parse("t", bad[i][0], strlen(bad[i][0]), &chat, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NULL(chat);
    const bool good = strstr(error.text, bad[i][1]) && !strchr(error.text, '\n');
    if (!good) printf("\n  %s: %s\n", bad[i][0], error.text);
    CU_ASSERT(good);
  }
}

/* However deep it is. */
static void deep_ones(void) {
  static const char *const part[][3] = {{"{{ ", "(", "}}"},
                                        {"{{ x", "|trim", "}}"},
                                        {"{{ not ", "not ", "x }}"},
                                        {"{{ x", " + x", "}}"},
                                        {"", "{% if x %}", ""}};
  for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
    const size_t times = 100000, each = strlen(part[i][1]);
    char *text = malloc(times * each + 16), *at = text + sprintf(text, "%s", part[i][0]);
    for (size_t k = 0; k < times; k++, at += each) memcpy(at, part[i][1], each);
    strcpy(at, part[i][2]);
    cohort_chat *chat = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL(cohort_chat_parse("t", text, strlen(text), &chat, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "more than"));
    free(text);
  }
}

static void refuses(const char *template, const char *messages, const char *part) {
  const cohort_chat_options options = {0};
  cohort_chat *chat = NULL;
  cohort_chat_text made;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_chat_parse("t", template, strlen(template), &chat, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_chat_render(chat, messages, &options, &made, &error), COHORT_BAD_DATA);
  const bool good = strstr(error.text, part) != NULL;
  if (!good) printf("\n  %s: %s\n", template, error.text);
  CU_ASSERT(good);
  CU_ASSERT_PTR_NULL(made.text);
  cohort_chat_destroy(chat);
}

static void conversations_that_are_refused(void) {
  refuses("{{ raise_exception('no ' ~ messages[0].role) }}", "[{\"role\": \"x\"}]", "no x");
  refuses("{{ messages[0].name.first }}", "[{\"role\": \"x\"}]", "t:1:16) refuses it: name is undefined");
  refuses("{{ messages[1]['role'] }}", "[{\"role\": \"x\"}]", "undefined");
  refuses("{{ strftime_now('%d') }}", "[{\"role\": \"x\"}]", "date");
  refuses("{{ messages }}", "[{\"role\": \"x\"}]", "tojson");
  refuses("{{ messages[0].content + 1 }}", "[{\"role\": \"x\", \"content\": \"a\"}]", "+ joins");
  refuses("a", "[]", "at least one");
  refuses("a", "[{}]", "message 1 has no role");
  refuses("a", "[3]", "message 1 is no object");
  refuses("a", "[", "not JSON");
}

static void from_files(void) {
  char *const directory = scratch_create();
  char *const config =
      scratch_text(directory, "tokenizer_config.json",
                   "{\"bos_token\": {\"content\": \"<b>\"}, \"eos_token\": \"<e>\", \"chat_template\": "
                   "[{\"name\": \"tool_use\", \"template\": \"x\"}, {\"name\": \"default\", "
                   "\"template\": \"{{ bos_token }}{{ messages[0].content }}{{ eos_token }}\"}]}");
  const cohort_chat_options options = {0};
  static const char messages[] = "[{\"role\": \"user\", \"content\": \"m\"}]";
  for (int i = 0; i < 2; i++) {
    cohort_chat *chat = NULL;
    cohort_chat_text made;
    CU_ASSERT_EQUAL_FATAL(cohort_chat_read(i ? directory : config, &chat, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL(cohort_chat_render(chat, messages, &options, &made, NULL), COHORT_DONE);
    CU_ASSERT_STRING_EQUAL(made.text, "<b>m<e>");
    cohort_chat_text_release(&made);
    cohort_chat_destroy(chat);
  }
  char *const own = scratch_text(directory, "chat_template.jinja", "{{ eos_token }}{{ messages | length }}\n");
  for (int i = 0; i < 2; i++) {
    cohort_chat *chat = NULL;
    cohort_chat_text made;
    CU_ASSERT_EQUAL_FATAL(cohort_chat_read(i ? directory : own, &chat, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL(cohort_chat_render(chat, messages, &options, &made, NULL), COHORT_DONE);
    CU_ASSERT_STRING_EQUAL(made.text, "<e>1");
    cohort_chat_text_release(&made);
    cohort_chat_destroy(chat);
  }
  free(own);
  free(config);
  scratch_remove(directory);
}

static const check checks[] = {{"as transformers renders them", as_transformers},
                               {"what is not taken", what_is_not_taken},
                               {"deep ones", deep_ones},
                               {"conversations that are refused", conversations_that_are_refused},
                               {"from files", from_files}};
int main(void) { return check_run("chat", checks, sizeof checks / sizeof *checks); }
