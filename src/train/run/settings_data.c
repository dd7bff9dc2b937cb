/* The keys of `data`: where a task's data are and how they are read. Invariant: a key that a run has no use for is
 * refused. Costs nothing at run time. */
#include "train/run/settings_data.h"

#include "train/task/completion_data.h"
#include "train/task/registry.h"

static const char *const layouts[] = {"auto", "channels_last", "channels_first", NULL}; /* cohort_layout */
static const char *const ends[] = {"auto", "always", "never", NULL};                    /* cohort_token_end */
static const char *const truncations[] = {"keep_start", "keep_end", NULL};              /* cohort_token_truncation */

static const char *const scored[] = {"auto", "all", "completions", "assistant", NULL}; /* cohort_sft_scored */

static const cohort_settings *of(const void *config) { return config; }
static bool uses(const void *own, unsigned what) { return (of(own)->task->uses & what) != 0; }
static bool has_splits(const void *own) { return uses(own, COHORT_TASK_SPLITS); }
static bool is_supervised(const void *own) { return of(own)->task == &cohort_task_supervised; }
static bool is_preference(const void *own) { return of(own)->task == &cohort_task_preference; }
static bool is_sft(const void *own) { return of(own)->task == &cohort_task_sft; }
static bool has_completions(const void *own) { return is_preference(own) || is_sft(own); }
static bool has_text(const void *own) { return uses(own, COHORT_TASK_TEXT); }
static bool has_tokens(const void *own) { return uses(own, COHORT_TASK_TOKENS); }
static bool has_images(const void *own) { return is_supervised(own) && of(own)->data_settings.train_images != NULL; }
static bool has_test_images(const void *own) { return has_images(own) && of(own)->data_settings.test_images != NULL; }
static bool has_samples_file(const void *own) { return uses(own, COHORT_TASK_SAMPLES) && !has_images(own); }
static bool has_array_file(const void *own) { return is_supervised(own) && !has_images(own); }
static bool makes_pairs(const void *own) { return has_completions(own) && of(own)->data_settings.lines != NULL; }
static bool holds_back(const void *own) {
  return (has_text(own) && has_splits(own)) || (has_completions(own) && !of(own)->data_settings.validation);
}

static const cohort_scope images[] = {
    {"task supervised, with data.train_images", has_images,
     "belongs to data.train_images of task supervised; give both or none"},
    {.who = NULL},
};
static const cohort_scope texts[] = {
    {"task language, and others that read a text", has_text, "is for task language; remove it or set the task"},
    {.who = NULL},
};
static const cohort_scope pixels[] = {
    {"task supervised, on images", is_supervised, "is for the images of task supervised; remove it"},
    {.who = NULL},
};
static const cohort_scope lines[] = {
    {"tasks sft and preference, with data.lines", makes_pairs,
     "belongs to data.lines of tasks sft and preference; remove it or give both"},
    {.who = NULL},
};
static const cohort_scope tokens[] = {
    {"tasks with tokens", has_tokens, "is for the tasks language and preference; remove it or set the task"},
    {.who = NULL},
};
static const cohort_scope held_back[] = {
    {"task language; task preference without data.validation", holds_back,
     "cuts a text, or pairs without data.validation; this run's data stay whole, remove it"},
    {.who = NULL},
};
static const cohort_scope test_images[] = {
    {"task supervised, with data.test_images", has_test_images,
     "belongs to data.test_images of task supervised; give both or none"},
    {.who = NULL},
};
static const cohort_scope samples_file[] = {
    {"tasks supervised (without data.train_images) and preference", has_samples_file,
     "data.text or data.train_images take its place; remove one of the two"},
    {.who = NULL},
};
static const cohort_scope supervised[] = {
    {"task supervised", is_supervised, "is for task supervised; remove it or set the task"},
    {.who = NULL},
};
static const cohort_scope completions[] = {
    {"tasks sft and preference", has_completions, "is for the completions of tasks sft and preference; remove it"},
    {.who = NULL},
};
static const cohort_scope array_file[] = {
    {"task supervised, with data.train", has_array_file, "is for images in data.train of task supervised; remove it"},
    {.who = NULL},
};
static const cohort_scope sft[] = {
    {"task sft", is_sft, "is for task sft; remove it or set the task"},
    {.who = NULL},
};

const cohort_parameter cohort_data_table[] = {
    COHORT_TEXT(cohort_data_settings, train_images, "null", "images to train on: an IDX file, .gz or plain",
                .scopes = supervised),
    COHORT_TEXT(cohort_data_settings, train_labels, "null", "their classes: an IDX file", .scopes = images),
    COHORT_TEXT(cohort_data_settings, test_images, "null", "images to test on: an IDX file", .scopes = images),
    COHORT_TEXT(cohort_data_settings, test_labels, "null", "their classes: an IDX file", .scopes = test_images),
    COHORT_TEXT(cohort_data_settings, train, "null",
                "samples to train on: HDF5 or NumPy .npz with x and y; or JSONL of completions, in one of TRL's shapes",
                .scopes = samples_file),
    COHORT_TEXT(cohort_data_settings, validation, "null", "samples to evaluate on, in the same form as data.train",
                .scopes = samples_file),
    COHORT_TREE(cohort_data_settings, mix,
                "several files of completions in the place of data.train, [{file, weight}, ...]: the one that has most "
                "for its weight gives each sample once an epoch, the others as many as their weights say",
                .section = cohort_mix_table, .scopes = completions),
    COHORT_TEXT(
        cohort_data_settings, chat, "null",
        "chat template of conversations: a .jinja file, a tokenizer_config.json, or a folder with one; null: that of "
        "the tokenizer's folder",
        .scopes = completions),
    COHORT_TEXT(cohort_data_settings, date, "null", "what a chat template gets that asks for the date",
                .scopes = completions),
    COHORT_CHOICE(cohort_data_settings, end, "auto", ends,
                  "whether the tokenizer's end token closes a completion: auto: that of texts, not of conversations, "
                  "whose template says how they end",
                  .scopes = completions),
    COHORT_INTEGER_RANGE(cohort_data_settings, max_length, "0", 0, 1e9,
                         "tokens of a prompt with its completion, at most; 0: as many as the model's context takes",
                         .unit = "tokens", .scopes = completions),
    COHORT_INTEGER_RANGE(cohort_data_settings, max_prompt_length, "0", 0, 1e9,
                         "tokens of a prompt, at most, of which the last are kept; 0: any", .unit = "tokens",
                         .scopes = completions),
    COHORT_CHOICE(cohort_data_settings, truncation, "keep_start", truncations,
                  "what is kept of a prompt with its completion that is too long: the start (a prompt that leaves no "
                  "room is dropped), or the end",
                  .scopes = completions),
    COHORT_CHOICE(cohort_data_settings, scored, "auto", scored,
                  "which tokens are learned: auto: those of completions, of data without prompts all; completions; "
                  "assistant: what the assistant says; all",
                  .scopes = sft),
    COHORT_TEXT(cohort_data_settings, text, "null", "a text file, or |command whose output is the text",
                .scopes = texts),
    COHORT_TEXT(cohort_data_settings, tokenizer, "bytes",
                "`bytes`, a file written by cohort tokenize, a tokenizer.json, or a folder with one", .scopes = tokens),
    COHORT_TEXT(cohort_data_settings, lines, "null",
                "a text whose lines make pairs: chosen (in task sft: the completion) is a line's own second half, "
                "rejected another's",
                .scopes = completions),
    COHORT_INTEGER_RANGE(cohort_data_settings, pairs, "6000", 2, 1e8, "how many pairs to make from data.lines",
                         .unit = "pairs", .scopes = lines),
    COHORT_REAL_RANGE(cohort_data_settings, validation_share, "0.05", 0, false, 1, false,
                      "share of the text, or of the pairs, at the end, that is kept for validation; 1 in eval alone",
                      .scopes = held_back),
    COHORT_CHOICE(
        cohort_data_settings, layout, "auto", layouts,
        "axes of images in data.train: channels_last, [n, height, width, channels]; channels_first, [n, channels, "
        "height, width]; auto: channels_last, and what looks like channels_first is refused",
        .may_change = true, .scopes = array_file), /* the data's digest tells if it matters */
    COHORT_INTEGER_RANGE(cohort_data_settings, crop, "0", 0, 64, "random shift of images by up to so much",
                         .unit = "pixels", .scopes = pixels),
    COHORT_BOOLEAN(cohort_data_settings, flip, "false", "random mirror images", .scopes = pixels),
    COHORT_INTEGER_RANGE(
        cohort_data_settings, views, "1", 1, 16,
        "rows that each sample gives, shifted and mirrored by draws of their own; 2 or more for losses "
        "over views of a sample",
        .scopes = supervised),
    COHORT_TEXT(cohort_data_settings, group, "group",
                "array that says of which group each sample is, for losses over groups; y: its class",
                .scopes = supervised),
    COHORT_TREE(cohort_data_settings, inputs, "arrays that the model reads beside x: [name, ...]",
                .scopes = array_file),
    {.name = NULL},
};
