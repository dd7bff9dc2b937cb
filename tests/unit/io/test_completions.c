/* Texts in TRL's shapes: lists in order, steps, fields of every owner, a second prompt, conversations; and every fault
 * with its line. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "io/dataset/completions.h"
#include "scratch.h"

static const cohort_field fields[] = {
    {COHORT_NAMED_FIELD("score"), .owner = COHORT_FIELD_COMPLETION, .meaning = "how good it is"},
    {COHORT_NAMED_FIELD("margin"), .owner = COHORT_FIELD_SAMPLE, .optional = true, .meaning = "how much better"},
    {COHORT_NAMED_FIELD("weight"), .owner = COHORT_FIELD_STEP, .optional = true, .meaning = "how much a step counts"},
    {.name = NULL}};

static cohort_status read_text(const char *text, const cohort_completions_options *options, cohort_completions *out,
                               cohort_error *error) {
  char *const directory = scratch_create();
  char *const path = scratch_text(directory, "c.jsonl", text);
  const cohort_status status = cohort_completions_read(path, options, out, error);
  free(path);
  scratch_remove(directory);
  return status;
}

static const cohort_completions_options with_fields = {.fields = fields};

static void lists(void) {
  cohort_completions data;
  cohort_error error = {0};
  const char *text =
      "{\"prompt\": \"p\", \"completions\": [\"a\", \"b\"], \"scores\": [1, 2], \"margin\": 0.5}\n"
      "{\"prompt\": \"q\", \"completions\": [\"c\", \"d\", \"e\"], \"scores\": [0, -1, 0], \"margin\": 2}\n"
      "{\"prompt\": \"r\", \"completions\": [\"f\", \"g\"], \"scores\": [3, 3], \"margin\": true}\n";
  const cohort_status status = read_text(text, &with_fields, &data, &error);
  if (status != COHORT_DONE) printf("\n  %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  CU_ASSERT_EQUAL(data.shape, COHORT_DATA_LIST);
  CU_ASSERT_EQUAL_FATAL(data.sides, 3);
  static const char *const wanted[9] = {"b", "a", NULL, "c", "e", "d", "f", "g", NULL};
  static const float score[9] = {2, 1, 0, 0, 0, -1, 3, 3, 0};
  for (int c = 0; c < 9; c++) {
    const char *made = data.completion[c].text;
    CU_ASSERT(wanted[c] ? made && strcmp(made, wanted[c]) == 0 : !made);
    CU_ASSERT_EQUAL(data.field[0].value[c], score[c]);
  }
  CU_ASSERT_EQUAL(data.field[1].value[0], 0.5f);
  CU_ASSERT_EQUAL(data.field[1].value[2], 1);
  CU_ASSERT_PTR_NULL(data.field[2].list);
  const cohort_completions view = cohort_completions_view(&data, 1, 1);
  CU_ASSERT_STRING_EQUAL(view.prompt[0], "q");
  CU_ASSERT_STRING_EQUAL(view.completion[2].text, "d");
  CU_ASSERT_EQUAL(view.field[0].value[2], -1);
  CU_ASSERT_EQUAL(view.first, 1);
  cohort_completions_release(&data);
}

static void steps_and_sides(void) {
  cohort_completions data;
  const char *text =
      "{\"prompt\": \"p\", \"prompt_rejected\": \"q\", \"chosen\": [\"a\", \"bc\"], \"rejected\": \"abc\", "
      "\"score_chosen\": 1, \"score_rejected\": -1, \"weights_chosen\": [0.5, 2], "
      "\"weights_rejected\": []}\n";
  CU_ASSERT_EQUAL_FATAL(read_text(text, &with_fields, &data, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(data.completion[0].parts, 2);
  CU_ASSERT_STRING_EQUAL(data.completion[0].text, "abc");
  CU_ASSERT_EQUAL(data.completion[0].part[1].first, 1);
  CU_ASSERT_EQUAL(data.completion[0].part[1].end, 3);
  CU_ASSERT_EQUAL(data.completion[1].parts, 0);
  CU_ASSERT_STRING_EQUAL(data.prompt_rejected[0], "q");
  CU_ASSERT_EQUAL(data.field[0].value[1], -1);
  CU_ASSERT_EQUAL(data.field[2].list[0][1], 2);
  cohort_completions_release(&data);
}

static void refused(const char *second, const char *part) {
  const char *first =
      "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\", \"score_chosen\": 1, "
      "\"score_rejected\": 2}\n";
  char *text = cohort_format_text("%s%s\n", second[0] == '!' ? "" : first, second + (second[0] == '!'));
  cohort_completions data;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(read_text(text, &with_fields, &data, &error), COHORT_BAD_DATA);
  const bool good = strstr(error.text, part) && !strchr(error.text, '\n') && !data.prompt;
  if (!good) printf("\n  \"%s\" for %s\n", error.text, text);
  CU_ASSERT(good);
  free(text);
}

static void faults(void) {
  refused("{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\", \"score_chosen\": 1}",
          ":2:1: score_rejected is missing; it is to say how good it is");
  refused("{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\", \"score_chosen\": \"x\", \"score_rejected\": 1}",
          ":2:1: score_chosen is no number");
  refused(
      "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\", \"score_chosen\": 1, \"score_rejected\": 2, "
      "\"margin\": 1}",
      ":2:1: margin is new here");
  refused("{\"prompt\": \"p\", \"prompt_rejected\": \"q\", \"chosen\": \"a\", \"rejected\": \"b\"}",
          ":2:1: prompt_rejected is new here");
  refused("!{\"prompt\": \"p\", \"completions\": [\"a\"]}", ":1:1: completions has 1 elements; a list is of 2 to 64");
  refused("!{\"prompt\": \"p\", \"completions\": [\"a\", \"b\"], \"scores\": [1]}",
          ":1:1: scores has 1 elements for 2 completions");
  refused("!{\"prompt\": \"p\", \"completions\": [\"a\", \"a\"], \"scores\": [1, 2]}",
          ":1:1: completions 2 and 1 are equal");
  refused("!{\"prompt\": \"p\", \"completions\": [\"a\", \"\"], \"scores\": [1, 2]}", ":1:1: completion is empty");
  refused("!{\"prompt\": \"p\", \"chosen\": [\"a\", \"\"], \"rejected\": \"b\"}", ":1:1: chosen: step 2 is empty");
  refused(
      "!{\"prompt\": \"p\", \"chosen\": [\"a\", \"c\"], \"rejected\": \"b\", \"score_chosen\": 1, "
      "\"score_rejected\": 2, \"weights_chosen\": [1], \"weights_rejected\": []}",
      ":1:1: weights_chosen has 1 numbers, but the completion has 2 steps");
  refused("!{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "set data.chat");
}

static void shapes(void) {
  static const struct {
    const char *text;
    cohort_data_shape shape;
  } one[] = {{"{\"text\": \"a\"}", COHORT_DATA_TEXT},
             {"{\"prompt\": \"a\"}", COHORT_DATA_PROMPT},
             {"{\"prompt\": \"a\", \"completion\": \"b\"}", COHORT_DATA_COMPLETION},
             {"{\"prompt\": \"a\", \"completion\": \"b\", \"label\": true}", COHORT_DATA_UNPAIRED},
             {"{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}", COHORT_DATA_PREFERENCE},
             {"{\"chosen\": \"a b\", \"rejected\": \"a c\"}", COHORT_DATA_PREFERENCE},
             {"{\"prompt\": \"a\", \"completions\": [\"b\", \"c\"]}", COHORT_DATA_LIST},
             {"{\"prompt\": \"a\", \"completions\": [\"b\"], \"labels\": [true]}", COHORT_DATA_STEPWISE}};
  for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
    cohort_completions data;
    CU_ASSERT_EQUAL_FATAL(read_text(one[i].text, NULL, &data, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL(data.shape, one[i].shape);
    CU_ASSERT_EQUAL(data.count, 1);
    cohort_completions_release(&data);
  }
}

static void conversations(void) {
  static const char template[] =
      "{% for m in messages %}{{ m.role[:1] + m.content + '.' }}{% endfor %}{{ 'a' if add_generation_prompt else '' }}";
  cohort_chat *chat = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_chat_parse("t", template, sizeof template - 1, &chat, NULL), COHORT_DONE);
  const cohort_completions_options options = {.chat = chat, .turns = true};
  cohort_completions data;
  CU_ASSERT_EQUAL_FATAL(
      read_text("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"assistant\", \"content\": "
                "\"yes\"}, {\"role\": \"user\", \"content\": \"z\"}, {\"role\": \"assistant\", \"content\": \"\"}]}",
                &options, &data, NULL),
      COHORT_DONE);
  CU_ASSERT_STRING_EQUAL(data.completion[0].text, "ux.ayes.uz.a.");
  CU_ASSERT_EQUAL_FATAL(data.completion[0].parts, 2);
  CU_ASSERT(data.completion[0].part[0].first == 4 && data.completion[0].part[0].end == 8);
  CU_ASSERT(data.completion[0].part[1].first == 12 && data.completion[0].part[1].end == 13);
  cohort_completions_release(&data);
  CU_ASSERT_EQUAL_FATAL(
      read_text("{\"prompt\": [{\"role\": \"user\", \"content\": \"x\"}], \"completions\": [[{\"role\": \"assistant\", "
                "\"content\": \"n\"}], [{\"role\": \"assistant\", \"content\": \"y\"}]], \"scores\": [0, 1]}",
                &options, &data, NULL),
      COHORT_DONE);
  CU_ASSERT_STRING_EQUAL(data.prompt[0], "ux.a");
  CU_ASSERT_STRING_EQUAL(data.completion[0].text, "y.");
  CU_ASSERT_STRING_EQUAL(data.completion[1].text, "n.");
  cohort_completions_release(&data);
  cohort_chat_destroy(chat);
}

static const check checks[] = {{"lists", lists},
                               {"steps and sides", steps_and_sides},
                               {"shapes", shapes},
                               {"conversations", conversations},
                               {"faults", faults}};
int main(void) { return check_run("completions", checks, sizeof checks / sizeof *checks); }
