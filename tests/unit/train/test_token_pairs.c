/* Texts as tokens: how sequences are cut, closed and mixed, and which token is of which step or turn. The tokenizer is
 * bytes, so that every token can be read. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "train/task/token_pairs.h"

/* One sample: a prompt and a completion. */
static cohort_completions single(char **prompt, cohort_completion *text, cohort_data_shape shape) {
  return (cohort_completions){.shape = shape, .count = 1, .sides = 1, .prompt = prompt, .completion = text};
}

static bool is(const cohort_token_pairs *pairs, int64_t sequence, const char *wanted, int32_t prompt) {
  char *made = cohort_allocate((size_t)pairs->length[sequence] + 1);
  for (int32_t t = 0; t < pairs->length[sequence]; t++) made[t] = (char)pairs->sequence[sequence][t];
  const bool good = strcmp(made, wanted) == 0 && pairs->prompt[sequence] == prompt;
  if (!good) printf("\n  \"%s\" with a prompt of %d, not \"%s\"\n", made, pairs->prompt[sequence], wanted);
  free(made);
  return good;
}

typedef struct cut {
  int64_t context, max_length, max_prompt;
  cohort_token_truncation truncation;
  const char *wanted; /* NULL: it is dropped */
  int32_t prompt;
} cut;

/* prompt "abcdef", completion "uvwxyz". */
static void sequences_are_cut(void) {
  static const cut cuts[] = {
      {100, 0, 0, COHORT_KEEP_START, "abcdefuvwxyz", 6}, {8, 0, 0, COHORT_KEEP_START, "abcdefuvw", 6},
      {100, 8, 0, COHORT_KEEP_START, "abcdefuv", 6},     {100, 8, 2, COHORT_KEEP_START, "efuvwxyz", 2},
      {100, 6, 0, COHORT_KEEP_START, NULL, 0},           {100, 6, 0, COHORT_KEEP_END, "uvwxyz", 1},
      {100, 8, 0, COHORT_KEEP_END, "efuvwxyz", 2},       {100, 4, 0, COHORT_KEEP_END, "wxyz", 1},
      {100, 0, 3, COHORT_KEEP_END, "defuvwxyz", 3}};
  cohort_tokenizer *tokenizer = cohort_tokenizer_bytes();
  char *prompt[1] = {"abcdef"};
  cohort_completion text[1] = {{.text = "uvwxyz"}};
  const cohort_completions data = single(prompt, text, COHORT_DATA_COMPLETION);
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    const cohort_token_options options = {.tokenizer = tokenizer,
                                          .context = cuts[i].context,
                                          .truncation = cuts[i].truncation,
                                          .max_length = cuts[i].max_length,
                                          .max_prompt = cuts[i].max_prompt};
    cohort_token_pairs pairs;
    CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &data, NULL, &options, &pairs, NULL), COHORT_DONE);
    CU_ASSERT_EQUAL(pairs.count, cuts[i].wanted != NULL);
    CU_ASSERT_EQUAL(pairs.dropped, cuts[i].wanted == NULL);
    if (cuts[i].wanted) CU_ASSERT(is(&pairs, 0, cuts[i].wanted, cuts[i].prompt));
    cohort_token_pairs_release(&pairs);
  }
  cohort_tokenizer_destroy(tokenizer);
}

static void check_steps(const cohort_token_pairs *pairs, const int32_t *wanted, int count) {
  CU_ASSERT_EQUAL_FATAL(pairs->length[0] - pairs->prompt[0], count);
  for (int t = 0; t < count; t++) CU_ASSERT_EQUAL(pairs->step[0][t], wanted[t]);
}

/* Steps of a list, turns of a conversation, and what is left of them when the start is cut. */
static void steps_and_turns(void) {
  cohort_tokenizer *tokenizer = cohort_tokenizer_bytes();
  char *prompt[1] = {"ab"};
  cohort_span parts[2] = {{0, 2}, {2, 5}}, turns[2] = {{1, 3}, {4, 5}};
  cohort_completion text[1] = {{.text = "uvxyz", .parts = 2, .part = parts}};
  cohort_completions data = single(prompt, text, COHORT_DATA_STEPWISE);
  cohort_token_options options = {.tokenizer = tokenizer, .context = 100, .steps = true};
  cohort_token_pairs pairs;
  CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &data, NULL, &options, &pairs, NULL), COHORT_DONE);
  CU_ASSERT(is(&pairs, 0, "abuv\nxyz\n", 2));
  check_steps(&pairs, (const int32_t[]){0, 0, 0, 1, 1, 1, 1}, 7);
  CU_ASSERT_EQUAL(pairs.steps, 2);
  cohort_token_pairs_release(&pairs);
  data.shape = COHORT_DATA_COMPLETION;
  data.conversational = true;
  text[0].part = turns;
  CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &data, NULL, &options, &pairs, NULL), COHORT_DONE);
  CU_ASSERT(is(&pairs, 0, "abuvxyz", 2));
  check_steps(&pairs, (const int32_t[]){-1, 0, 0, -1, 1}, 5);
  cohort_token_pairs_release(&pairs);
  options.max_length = 4;
  options.truncation = COHORT_KEEP_END;
  CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &data, NULL, &options, &pairs, NULL), COHORT_DONE);
  CU_ASSERT(is(&pairs, 0, "vxyz", 1));
  check_steps(&pairs, (const int32_t[]){0, -1, 1}, 3);
  cohort_token_pairs_release(&pairs);
  cohort_tokenizer_destroy(tokenizer);
}

/* Numbers of tokens go with their tokens; another count is a fault that names the line. */
static void fields_of_tokens(void) {
  static const cohort_field fields[] = {
      {COHORT_NAMED_FIELD("guide"), .owner = COHORT_FIELD_TOKEN, .meaning = "a guide"}, {.name = NULL}};
  cohort_tokenizer *tokenizer = cohort_tokenizer_bytes();
  char *prompt[1] = {"ab"};
  cohort_completion text[1] = {{.text = "xyz"}};
  cohort_completions data = single(prompt, text, COHORT_DATA_COMPLETION);
  float numbers[3] = {1, 2, 3}, *list[1] = {numbers};
  int elements[1] = {3};
  data.fields = fields;
  data.field[0] = (cohort_field_values){.list = list, .elements = elements};
  const cohort_token_options options = {
      .tokenizer = tokenizer, .context = 100, .max_length = 3, .truncation = COHORT_KEEP_END};
  cohort_token_pairs pairs;
  CU_ASSERT_EQUAL_FATAL(cohort_token_pairs_create(1, &data, NULL, &options, &pairs, NULL), COHORT_DONE);
  CU_ASSERT(is(&pairs, 0, "xyz", 1));
  CU_ASSERT_EQUAL(pairs.field[0].token[0][0], 2);
  CU_ASSERT_EQUAL(pairs.field[0].token[0][1], 3);
  cohort_token_pairs_release(&pairs);
  elements[0] = 1;
  data.path = "f.jsonl";
  data.first = 4;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_token_pairs_create(1, &data, NULL, &options, &pairs, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "f.jsonl:5:1: guide has 1 numbers for a completion of 3 tokens"));
  cohort_tokenizer_destroy(tokenizer);
}

/* Two samples with weight 1 and one with 3: two and six. */
static void files_are_mixed(void) {
  cohort_tokenizer *tokenizer = cohort_tokenizer_bytes();
  char *prompt[2] = {"a", "b"}, *other[1] = {"c"};
  cohort_completion text[2] = {{.text = "x"}, {.text = "y"}}, one[1] = {{.text = "z"}};
  const cohort_completions data[2] = {
      {.shape = COHORT_DATA_COMPLETION, .count = 2, .sides = 1, .prompt = prompt, .completion = text},
      {.shape = COHORT_DATA_COMPLETION, .count = 1, .sides = 1, .prompt = other, .completion = one}};
  const double weight[2] = {1, 3};
  const cohort_token_options options = {.tokenizer = tokenizer, .context = 100};
  cohort_token_pairs pairs;
  CU_ASSERT_EQUAL_FATAL(cohort_token_pairs_create(2, data, weight, &options, &pairs, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(pairs.count, 8);
  int of_other = 0;
  for (int64_t i = 0; i < pairs.count; i++) of_other += pairs.sequence[i][0] == 'c';
  CU_ASSERT_EQUAL(of_other, 6);
  CU_ASSERT_EQUAL(pairs.owned, 3);
  cohort_token_pairs_release(&pairs);
  cohort_tokenizer_destroy(tokenizer);
}

static const check checks[] = {{"sequences are cut", sequences_are_cut},
                               {"steps and turns", steps_and_turns},
                               {"fields of tokens", fields_of_tokens},
                               {"files are mixed", files_are_mixed}};
int main(void) { return check_run("token_pairs", checks, sizeof checks / sizeof *checks); }
