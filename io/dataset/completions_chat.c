/* Conversations as completions of prompts: a chat template renders them. Invariant: a completion's text follows its
 * prompt's, so that both together are the rendered conversation. Costs a rendering for each completion, and with turns
 * two for each answer where the template does not mark them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/completions_own.h"

typedef cohort_completions_line line;

static bool are_messages(const json_t *value) { return json_is_object(json_array_get(value, 0)); }

bool cohort_completions_is_conversation(const line *at) {
  static const char *const keys[] = {"messages", "prompt", "completion", "chosen", "rejected", NULL};
  for (int k = 0; keys[k]; k++)
    if (are_messages(json_object_get(at->object, keys[k]))) return true;
  return are_messages(json_array_get(json_object_get(at->object, "completions"), 0));
}

static cohort_status render(const line *at, const char *key, const json_t *messages, bool generation,
                            cohort_chat_text *out, cohort_error *error) {
  const cohort_chat_options options = {.add_generation_prompt = generation, .date = at->options->date};
  cohort_error why = {0};
  if (cohort_chat_render_json(at->options->chat, messages, &options, out, &why) == COHORT_DONE) return COHORT_DONE;
  return cohort_completions_fail(at, error, "%s: %s", key, why.text);
}

/* Messages [0, count) of a conversation; owned by the caller. */
static json_t *begin_of(const json_t *messages, size_t count) {
  json_t *begin = json_array();
  for (size_t i = 0; i < count; i++) json_array_append(begin, json_array_get(messages, i));
  return begin;
}

static void add_part(cohort_completion *own, size_t first, size_t end) {
  own->part = cohort_reallocate(own->part, (size_t)(own->parts + 1) * sizeof *own->part);
  own->part[own->parts++] = (cohort_span){first, end};
}

/* The length of a conversation's first `count` messages in its whole text; -1 after a fault. */
static cohort_status place_of(const line *at, const char *key, const json_t *messages, size_t count, bool generation,
                              const char *whole, size_t *out, cohort_error *error) {
  cohort_chat_text text;
  if (count == 0 && !generation) {
    *out = 0;
    return COHORT_DONE;
  }
  json_t *begin = begin_of(messages, count);
  const cohort_status status = render(at, key, begin, generation, &text, error);
  json_decref(begin);
  COHORT_TRY(status);
  *out = text.length;
  const bool same = strncmp(text.text, whole, text.length) == 0;
  cohort_chat_text_release(&text);
  if (same) return COHORT_DONE;
  return cohort_completions_fail(at, error,
                                 "%s: the chat template renders the first %zu messages otherwise once more follow, so "
                                 "answers have no place; take a template with {%% generation %%}",
                                 key, count);
}

/* What the assistant says, from byte `skipped` of the whole text. */
static cohort_status find_turns(const line *at, const char *key, const json_t *messages, const cohort_chat_text *whole,
                                size_t skipped, cohort_completion *own, cohort_error *error) {
  for (int k = 0; k < whole->spans; k++)
    if (whole->span[k].end > skipped && whole->span[k].end > whole->span[k].first)
      add_part(own, whole->span[k].first > skipped ? whole->span[k].first - skipped : 0, whole->span[k].end - skipped);
  if (cohort_chat_marks(at->options->chat)) return COHORT_DONE;
  for (size_t i = 0; i < json_array_size(messages); i++) {
    const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    size_t first, end;
    if (!role || strcmp(role, "assistant") != 0) continue;
    if (i == 0)
      first = 0;
    else
      COHORT_TRY(place_of(at, key, messages, i, true, whole->text, &first, error));
    COHORT_TRY(place_of(at, key, messages, i + 1, false, whole->text, &end, error));
    if (end > skipped) add_part(own, first > skipped ? first - skipped : 0, end - skipped);
  }
  return COHORT_DONE;
}

/* A completion after a prompt, which may be NULL. */
static cohort_status take_after(const line *at, const char *key, const json_t *prompt, const char *prompt_text,
                                const json_t *messages, cohort_completion *out, cohort_error *error) {
  if (!are_messages(messages))
    return cohort_completions_fail(at, error,
                                   "%s is no list of messages {\"role\", \"content\"}, as the rest of the line", key);
  json_t *all = prompt ? json_copy((json_t *)(size_t)prompt) : json_array();
  json_array_extend(all, (json_t *)(size_t)messages);
  cohort_chat_text whole;
  cohort_status status = render(at, key, all, false, &whole, error);
  if (status == COHORT_DONE) {
    const size_t skipped = strlen(prompt_text);
    if (strncmp(whole.text, prompt_text, skipped) != 0)
      status = cohort_completions_fail(
          at, error, "%s: the chat template renders the prompt otherwise once an answer follows; take another", key);
    if (status == COHORT_DONE) {
      out->text = cohort_copy_text(whole.text + skipped);
      if (at->options->turns) status = find_turns(at, key, all, &whole, skipped, out, error);
    }
    cohort_chat_text_release(&whole);
  }
  json_decref(all);
  return status;
}

static cohort_status take_prompt(const line *at, const char *key, const json_t *messages, char **out,
                                 cohort_error *error) {
  if (!are_messages(messages))
    return cohort_completions_fail(at, error,
                                   "%s is no list of messages {\"role\", \"content\"}, as the rest of the line", key);
  const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
  const char *role = json_string_value(json_object_get(last, "role"));
  if (role && strcmp(role, "assistant") == 0)
    return cohort_completions_fail(at, error, "%s ends with what the assistant says; it is to end with a question",
                                   key);
  cohort_chat_text text;
  COHORT_TRY(render(at, key, messages, true, &text, error));
  *out = text.text;
  text.text = NULL;
  cohort_chat_text_release(&text);
  return COHORT_DONE;
}

/* Of a preference without a prompt: the messages that both begin with, taken from both. */
static void part_messages(json_t **prompt, json_t *pair[2]) {
  size_t count = 0;
  while (count < json_array_size(pair[0]) && count < json_array_size(pair[1]) &&
         json_equal(json_array_get(pair[0], count), json_array_get(pair[1], count)))
    count++;
  *prompt = begin_of(pair[0], count);
  for (int side = 0; side < 2; side++) {
    json_t *rest = json_array();
    for (size_t i = count; i < json_array_size(pair[side]); i++) json_array_append(rest, json_array_get(pair[side], i));
    pair[side] = rest;
  }
}

static cohort_status take_implicit(const line *at, cohort_completions *out, cohort_error *error) {
  static const char *const keys[2] = {"chosen", "rejected"};
  json_t *prompt = NULL, *pair[2] = {json_object_get(at->object, keys[0]), json_object_get(at->object, keys[1])};
  part_messages(&prompt, pair);
  cohort_status status =
      json_array_size(prompt)
          ? take_prompt(at, "chosen", prompt, &out->prompt[at->at], error)
          : cohort_completions_fail(at, error, "chosen and rejected begin with different messages: there is no prompt");
  for (int side = 0; side < 2 && status == COHORT_DONE; side++) {
    cohort_completion *own = &out->completion[2 * at->at + side];
    status =
        json_array_size(pair[side])
            ? take_after(at, keys[side], prompt, out->prompt[at->at], pair[side], own, error)
            : cohort_completions_fail(at, error, "%s is empty; there is nothing to score, remove the line", keys[side]);
  }
  json_decref(prompt);
  json_decref(pair[0]);
  json_decref(pair[1]);
  return status;
}

static cohort_status take_list(const line *at, const json_t *prompt, cohort_completions *out, cohort_error *error) {
  const json_t *list = json_object_get(at->object, "completions");
  for (size_t k = 0; k < json_array_size(list); k++)
    COHORT_TRY(take_after(at, "completions", prompt, out->prompt[at->at], json_array_get(list, (size_t)at->order[k]),
                          &out->completion[at->at * out->sides + (int64_t)k], error));
  return COHORT_DONE;
}

cohort_status cohort_completions_take_conversation(const line *at, cohort_completions *out, cohort_error *error) {
  static const char *const sides[2] = {"chosen", "rejected"};
  if (!at->options || !at->options->chat)
    return cohort_completions_fail(
        at, error, "a list of messages needs a chat template; %s",
        at->options && at->options->why_no_chat ? at->options->why_no_chat : "set data.chat");
  if (json_object_get(at->object, "tools") && !json_is_null(json_object_get(at->object, "tools")))
    return cohort_completions_fail(at, error, "tools are not taken; remove the key");
  cohort_completion *own = &out->completion[at->at * out->sides];
  const json_t *prompt = json_object_get(at->object, "prompt"), *other = json_object_get(at->object, "prompt_rejected");
  if (out->shape == COHORT_DATA_TEXT) {
    out->prompt[at->at] = cohort_copy_text("");
    return take_after(at, "messages", NULL, "", json_object_get(at->object, "messages"), own, error);
  }
  if (out->shape == COHORT_DATA_STEPWISE) return cohort_completions_fail(at, error, "steps are texts, not messages");
  if (out->shape == COHORT_DATA_PREFERENCE && !prompt) return take_implicit(at, out, error);
  COHORT_TRY(take_prompt(at, "prompt", prompt, &out->prompt[at->at], error));
  if (out->shape == COHORT_DATA_PROMPT) return COHORT_DONE;
  if (out->shape == COHORT_DATA_LIST) return take_list(at, prompt, out, error);
  if (out->shape != COHORT_DATA_PREFERENCE)
    return take_after(at, "completion", prompt, out->prompt[at->at], json_object_get(at->object, "completion"), own,
                      error);
  if (other) COHORT_TRY(take_prompt(at, "prompt_rejected", other, &out->prompt_rejected[at->at], error));
  for (int side = 0; side < 2; side++) {
    const bool second = side == 1 && other;
    COHORT_TRY(take_after(at, sides[side], second ? other : prompt,
                          second ? out->prompt_rejected[at->at] : out->prompt[at->at],
                          json_object_get(at->object, sides[side]), &own[side], error));
  }
  return COHORT_DONE;
}
