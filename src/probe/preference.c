/* A preference loss on given log-probabilities: the arrays become token columns, and from there on the family's own
 * builders make the loss, as in training. Completions of lists stand at places of a table, the lists in the order in
 * which their numbers first come. Costs a pass over the tokens. */
#include "method/preference/preference.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { LEAVES = 16 + 2 * COHORT_MAX_FIELDS, RESULTS = 8 };
static const char *const pair_sides[] = {"/chosen", "/rejected"}, *const no_side[] = {""};

typedef struct bench {
  cohort_probe_state *probe;
  cohort_graph *graph;
  const cohort_method *method;
  unsigned needs;
  int arrays; /* of each column: 2, of pairs, or 1 */
  const char *const *side;
  int64_t given, tokens; /* completions that an array has; T */
  int64_t samples;       /* P */
  int sides;             /* completions of a sample */
  int64_t *place;        /* [given]: where each completion stands among samples * sides; of arrays == 1 */
  int leaves;
  cohort_probe_leaf leaf[LEAVES];
  int varied; /* what the loss is differentiated by */
  cohort_value wrt[4];
  char *name[4]; /* of the gradients */
  cohort_shape shape[4];
} bench;

/* Pairs and completions alone stand as they come; of lists each number gets the next free place of its list. */
static void find_places(bench *own) {
  own->place = cohort_allocate((size_t)own->given * sizeof *own->place + 1);
  own->samples = own->given;
  own->sides = own->arrays;
  for (int64_t c = 0; c < own->given; c++) own->place[c] = c;
  if (!(own->needs & COHORT_NEEDS_LISTS)) return;
  const int32_t *group = cohort_probe_integers(own->probe, cohort_probe_input(own->probe, "group"));
  int64_t *list = cohort_allocate(2 * (size_t)own->given * sizeof *list + 1), *rank = list + own->given;
  own->samples = 0;
  own->sides = 0;
  for (int64_t c = 0; c < own->given; c++) {
    int64_t last = c - 1;
    while (last >= 0 && group[last] != group[c]) last--;
    list[c] = last < 0 ? own->samples++ : list[last];
    rank[c] = last < 0 ? 0 : rank[last] + 1;
    if (rank[c] >= own->sides) own->sides = (int)rank[c] + 1;
  }
  for (int64_t c = 0; c < own->given; c++) own->place[c] = list[c] * own->sides + rank[c];
  free(list);
}

static cohort_value add_leaf(bench *own, const char *name, cohort_type type, cohort_shape shape, void *data) {
  const cohort_value value = cohort_graph_input(own->graph, name, type, shape);
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, data};
  return value;
}

static void *reals_of(const bench *own, const char *name) {
  return cohort_probe_reals(own->probe, cohort_probe_input(own->probe, name));
}

/* An array, or those of both sides, of `width` numbers a completion, as one column of what is given: [given * width]
 * in the order of completions. With `gradient` the loss is differentiated by it. */
static cohort_value add_given(bench *own, const char *array, int64_t width, const char *gradient) {
  const cohort_shape shape = width > 0 ? COHORT_SHAPE(own->given, width) : COHORT_SHAPE(own->given);
  const int64_t each = width > 0 ? width : 1;
  cohort_value part[2] = {0};
  for (int side = 0; side < own->arrays; side++) {
    char *name = cohort_format_text("%s%s", array, own->side[side]);
    const cohort_value value = add_leaf(own, name, COHORT_TYPE_REAL, shape, reals_of(own, name));
    free(name);
    if (gradient) {
      own->wrt[own->varied] = value;
      own->shape[own->varied] = shape;
      own->name[own->varied++] = cohort_format_text("%s%s", gradient, own->side[side]);
    }
    part[side] = cohort_graph_reshape(own->graph, value, COHORT_SHAPE(own->given, 1, each));
  }
  const cohort_value both = own->arrays == 2 ? cohort_graph_concat(own->graph, 1, 2, part) : part[0];
  return cohort_graph_reshape(own->graph, both, COHORT_SHAPE(own->given * own->arrays * each));
}

static cohort_value add_tokens(bench *own, const char *array, const char *gradient) {
  return add_given(own, array, own->tokens, gradient);
}

/* A number of each completion at its place, [C] or [C, width]; 0 where there is none. */
static cohort_value add_placed(bench *own, const char *array, int64_t width) {
  const int64_t count = own->samples * own->sides, each = width > 0 ? width : 1;
  const cohort_probe_state *probe = own->probe;
  void *placed = cohort_probe_memory(own->probe, (size_t)(count * each) * cohort_probe_real_size(probe));
  for (int side = 0; side < own->arrays; side++) {
    char *name = cohort_format_text("%s%s", array, own->side[side]);
    const cohort_array *from = cohort_probe_input(probe, name);
    free(name);
    for (int64_t c = 0; c < own->given; c++)
      for (int64_t e = 0; e < each; e++)
        cohort_probe_set(probe, placed, (own->place[c] * own->arrays + side) * each + e,
                         cohort_array_get(from, c * each + e));
  }
  return add_leaf(own, array, COHORT_TYPE_REAL, width > 0 ? COHORT_SHAPE(count, width) : COHORT_SHAPE(count), placed);
}

/* The completion of every token. */
static cohort_value add_segments(bench *own) {
  const int64_t rows = own->given * own->arrays * own->tokens;
  int32_t *segment = cohort_probe_memory(own->probe, (size_t)rows * sizeof *segment);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t c = r / own->tokens;
    segment[r] = (int32_t)(own->place[c / own->arrays] * own->arrays + c % own->arrays);
  }
  return add_leaf(own, "segments", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows), segment);
}

/* The step of every token, among all completions' steps. */
static cohort_value add_steps(bench *own, int64_t steps) {
  const int64_t rows = own->given * own->arrays * own->tokens;
  int32_t *segment = cohort_probe_memory(own->probe, (size_t)rows * sizeof *segment);
  for (int side = 0; side < own->arrays; side++) {
    char *name = cohort_format_text("step%s", own->side[side]);
    const int32_t *step = cohort_probe_integers(own->probe, cohort_probe_input(own->probe, name));
    free(name);
    for (int64_t i = 0; i < own->given * own->tokens; i++) {
      const int64_t c = i / own->tokens, completion = own->place[c] * own->arrays + side;
      segment[(c * own->arrays + side) * own->tokens + i % own->tokens] =
          step[i] < 0 ? -1 : (int32_t)(completion * steps + step[i]);
    }
  }
  return add_leaf(own, "steps", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows), segment);
}

/* Sums over the completions' tokens, [C]; 0 where a list has none. */
static cohort_value add_sums(bench *own, const cohort_preference_fields *fields, cohort_value tokens,
                             cohort_value mask) {
  return cohort_preference_total(own->graph, fields, cohort_graph_multiply(own->graph, tokens, mask));
}

/* Which places of lists are taken. */
static cohort_value add_present(bench *own) {
  const int64_t count = own->samples * own->sides;
  void *present = cohort_probe_memory(own->probe, (size_t)count * cohort_probe_real_size(own->probe));
  for (int64_t c = 0; c < own->given; c++) cohort_probe_set(own->probe, present, own->place[c], 1);
  return add_leaf(own, "taken", COHORT_TYPE_REAL, COHORT_SHAPE(count), present);
}

/* Samples over the tokens of the chosen, the best, or the desirable. */
static cohort_value token_share(const bench *own, const cohort_preference_fields *fields, cohort_value lengths) {
  cohort_graph *graph = own->graph;
  cohort_value chosen = lengths;
  if (own->sides > 1) {
    const cohort_value table = cohort_preference_table(graph, fields, lengths);
    chosen = cohort_graph_slice(graph, table, 1, 0, 1);
  } else if (fields->label != COHORT_NO_VALUE) {
    chosen = cohort_graph_multiply(graph, lengths, fields->label);
  }
  return cohort_graph_divide(graph, cohort_graph_constant(graph, (double)own->samples),
                             cohort_graph_sum_all(graph, chosen));
}

/* Whose a number of samples is; of a list the best's counts. */
static int64_t sample_of(const bench *own, int64_t completion) {
  return own->arrays == 2 ? completion : own->place[completion] / own->sides;
}

/* The method's own. */
static void add_own(bench *own, cohort_preference_fields *fields) {
  for (int i = 0; fields->own && fields->own[i].name; i++) {
    const cohort_field *field = &fields->own[i];
    const bool sided = own->arrays == 2 && field->owner != COHORT_FIELD_SAMPLE;
    const cohort_array *first = cohort_probe_input(own->probe, sided ? field->chosen : field->name);
    if (!first) continue;
    if (field->owner == COHORT_FIELD_TOKEN) {
      fields->own_value[i] = add_tokens(own, field->name, NULL);
    } else if (field->owner != COHORT_FIELD_SAMPLE) {
      fields->own_value[i] = add_placed(own, field->name, field->owner == COHORT_FIELD_STEP ? fields->steps : 0);
    } else if (field->integer) {
      const int32_t *given = cohort_probe_integers(own->probe, first);
      int32_t *values = cohort_probe_memory(own->probe, (size_t)own->samples * sizeof *values);
      for (int64_t c = own->given - 1; c >= 0; c--) values[sample_of(own, c)] = given[c];
      fields->own_value[i] = add_leaf(own, field->name, COHORT_TYPE_INTEGER, COHORT_SHAPE(own->samples), values);
    } else {
      void *values = cohort_probe_memory(own->probe, (size_t)own->samples * cohort_probe_real_size(own->probe));
      for (int64_t c = own->given - 1; c >= 0; c--)
        cohort_probe_set(own->probe, values, sample_of(own, c), cohort_array_get(first, c));
      fields->own_value[i] = add_leaf(own, field->name, COHORT_TYPE_REAL, COHORT_SHAPE(own->samples), values);
    }
  }
}

/* What the scalar head says: of completions, or of their steps. */
static void add_scores(bench *own, cohort_preference_fields *fields) {
  cohort_graph *graph = own->graph;
  const bool steps = own->needs & COHORT_NEEDS_STEPS;
  if (steps) {
    const cohort_shape shape = COHORT_SHAPE(fields->completions, fields->steps);
    fields->step_score = cohort_graph_reshape(graph, add_given(own, "reward", fields->steps, "gradient"), shape);
    fields->step_present = add_leaf(own, "present", COHORT_TYPE_REAL, shape, reals_of(own, "present"));
    fields->token_share = cohort_graph_divide(graph, cohort_graph_constant(graph, (double)own->samples),
                                              cohort_graph_sum_all(graph, fields->step_present));
    return;
  }
  const cohort_value given = add_given(own, "reward", 0, "gradient");
  fields->score = given;
  if (own->needs & COHORT_NEEDS_LISTS) {
    int32_t *place = cohort_probe_memory(own->probe, (size_t)own->given * sizeof *place);
    for (int64_t c = 0; c < own->given; c++) place[c] = (int32_t)own->place[c];
    const cohort_value at = add_leaf(own, "place", COHORT_TYPE_INTEGER, COHORT_SHAPE(own->given), place);
    fields->score = cohort_graph_scatter_add(graph, given, at, fields->completions);
  }
}

static void add_columns(bench *own, cohort_preference_fields *fields) {
  cohort_graph *graph = own->graph;
  const unsigned needs = own->needs;
  fields->segments = add_segments(own);
  fields->mask = add_tokens(own, "mask", NULL);
  const cohort_value policy = add_tokens(own, "policy", "gradient");
  fields->policy = add_sums(own, fields, policy, fields->mask);
  const cohort_value reference = needs & COHORT_NEEDS_REFERENCE ? add_tokens(own, "reference", NULL) : COHORT_NO_VALUE;
  if (reference != COHORT_NO_VALUE) fields->reference = add_sums(own, fields, reference, fields->mask);
  if (needs & COHORT_NEEDS_EACH_TOKEN) {
    fields->policy_token = cohort_graph_multiply(graph, policy, fields->mask);
    if (reference != COHORT_NO_VALUE) fields->reference_token = cohort_graph_multiply(graph, reference, fields->mask);
  }
  if (needs & COHORT_NEEDS_DIVERGENCE) fields->divergence = add_tokens(own, "kl", "gradient_kl");
  if (needs & COHORT_NEEDS_STEPS) {
    fields->step_segments = add_steps(own, fields->steps);
    const cohort_value count = cohort_preference_step_total(graph, fields, fields->mask);
    fields->step_present = cohort_graph_less(graph, cohort_graph_constant(graph, 0), count);
  }
  if (needs & COHORT_NEEDS_MISMATCHED) {
    const cohort_value mask = add_tokens(own, "mask_mismatched", NULL);
    fields->policy_mismatched = add_sums(own, fields, add_tokens(own, "policy_mismatched", NULL), mask);
    fields->reference_mismatched = add_sums(own, fields, add_tokens(own, "reference_mismatched", NULL), mask);
  }
  const cohort_value scored = cohort_preference_total(graph, fields, fields->mask);
  fields->length = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, scored, cohort_graph_constant(graph, 1));
  fields->token_share = token_share(own, fields, scored);
}

static cohort_preference_fields add_fields(bench *own) {
  cohort_graph *graph = own->graph;
  cohort_preference_fields fields = cohort_preference_no_fields(own->method, own->samples, own->sides);
  const cohort_value one = cohort_graph_constant(graph, 1);
  fields.weight = cohort_graph_broadcast(graph, one, COHORT_SHAPE(own->samples));
  fields.training = true; /* a first step */
  for (int s = 0; own->method->states && own->method->states[s].name; s++) {
    double initial;
    const int64_t numbers = cohort_choice_state(&own->probe->choice, &own->method->states[s], &initial);
    fields.state[s] = cohort_graph_broadcast(graph, cohort_graph_constant(graph, initial), COHORT_SHAPE(numbers));
  }
  if (own->needs & COHORT_NEEDS_STEPS) fields.steps = cohort_probe_size_of(own->probe, "S");
  if (own->needs & COHORT_NEEDS_LISTS) fields.present = add_present(own);
  if (cohort_preference_has_label(own->method))
    fields.label = add_leaf(own, "label", COHORT_TYPE_REAL, COHORT_SHAPE(own->samples), reals_of(own, "label"));
  if (own->needs & COHORT_NEEDS_SCORES)
    add_scores(own, &fields);
  else
    add_columns(own, &fields);
  add_own(own, &fields);
  return fields;
}

/* Of each completion that is given: its own loss, or its list's. */
static cohort_value rows_of(const bench *own, const cohort_preference_fields *fields,
                            const cohort_preference_outputs *outputs) {
  const cohort_value rows = cohort_preference_rows(own->graph, fields, outputs);
  if (!(own->needs & COHORT_NEEDS_LISTS)) return rows;
  const cohort_value list = cohort_graph_input(own->graph, "list", COHORT_TYPE_INTEGER, COHORT_SHAPE(own->given));
  return cohort_graph_gather(own->graph, rows, list);
}

static void bind_list(bench *own) {
  int32_t *list = cohort_probe_memory(own->probe, (size_t)own->given * sizeof *list);
  for (int64_t c = 0; c < own->given; c++) list[c] = (int32_t)(own->place[c] / own->sides);
  own->leaf[own->leaves++] = (cohort_probe_leaf){cohort_graph_find_input(own->graph, "list"), list};
}

/* Steps that no field tells the number of: as many as the tokens have. */
static void bind_steps(cohort_probe_state *probe) {
  if (!(probe->choice.method->needs & COHORT_NEEDS_STEPS)) return;
  int64_t steps = 1;
  for (int i = 0; i < probe->in.count; i++) {
    const cohort_array *array = &probe->in.items[i];
    const bool counts = strcmp(array->name, "step") == 0 || strncmp(array->name, "step/", 5) == 0;
    for (int64_t e = 0; counts && e < cohort_array_elements(array); e++)
      if (cohort_array_get(array, e) >= (double)steps) steps = (int64_t)cohort_array_get(array, e) + 1;
  }
  for (const cohort_probe_array *entry = probe->inputs; entry->name; entry++)
    if (entry->shape[1] && strcmp(entry->shape[1], "S") == 0) {
      const cohort_array *array = cohort_probe_input(probe, entry->name);
      if (array) return; /* its axis tells */
    }
  (void)cohort_probe_bind(probe, "S", steps);
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_method *method = probe->choice.method;
  const bool pairs = !(method->needs & (COHORT_NEEDS_UNPAIRED | COHORT_NEEDS_LISTS));
  bench own = {.probe = probe,
               .graph = cohort_graph_create(),
               .method = method,
               .needs = method->needs,
               .arrays = pairs ? 2 : 1,
               .side = pairs ? pair_sides : no_side,
               .given = cohort_probe_size_of(probe, pairs ? "pairs" : "completions")};
  if (!(method->needs & COHORT_NEEDS_SCORES)) own.tokens = cohort_probe_size_of(probe, "T");
  find_places(&own);
  const cohort_preference_fields fields = add_fields(&own);
  const cohort_preference_outputs outputs = cohort_preference_build(method, probe->choice.config, own.graph, &fields);
  const cohort_value sum = cohort_preference_objective(own.graph, &fields, &outputs);
  const cohort_value loss = cohort_graph_scale(own.graph, sum, 1 / (double)own.samples);
  cohort_probe_wanted wanted[RESULTS] = {{loss, "loss", COHORT_SCALAR_SHAPE}};
  int results = 1;
  wanted[results++] = (cohort_probe_wanted){rows_of(&own, &fields, &outputs), pairs ? "per_pair" : "per_completion",
                                            COHORT_SHAPE(own.given)};
  if (method->needs & COHORT_NEEDS_LISTS) bind_list(&own);
  cohort_value gradient[4];
  cohort_graph_gradient(own.graph, loss, COHORT_NO_VALUE, own.varied, own.wrt, gradient);
  for (int i = 0; i < own.varied; i++)
    wanted[results++] = (cohort_probe_wanted){gradient[i], own.name[i], own.shape[i]};
  const cohort_status status = cohort_probe_evaluate(probe, own.graph, own.leaves, own.leaf, results, wanted, error);
  cohort_graph_destroy(own.graph);
  for (int i = 0; i < own.varied; i++) free(own.name[i]);
  free(own.place);
  return status;
}

const cohort_probe_program cohort_probe_preference = {.family = "preference", .bind = bind_steps, .run = run};
