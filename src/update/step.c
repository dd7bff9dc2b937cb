/* One step: the schedule's factor, the nest's turn, several objectives into one direction, and what is kept of the
 * first answer. Invariant: state of transforms and aggregators is that of the first answer on the step's own batch, and
 * is kept only when the step was applied. */
#include <math.h>
#include <string.h>

#include "method/schedule/schedule.h"
#include "update/updater_state.h"

enum { MOST = COHORT_MAX_OBJECTIVES };

/* Inner products of all pairs of gradients, in one pass and one exchange. */
static void gram(cohort_update_step *step, double *products) {
  cohort_updater *updater = step->updater;
  const int n = step->oracle->objectives;
  const void *a[MOST * (MOST + 1) / 2], *b[MOST * (MOST + 1) / 2];
  double out[MOST * (MOST + 1) / 2];
  int pairs = 0;
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++, pairs++) {
      a[pairs] = (const char *)step->rows + (size_t)i * updater->stride;
      b[pairs] = (const char *)step->rows + (size_t)j * updater->stride;
    }
  cohort_update_dots(updater, pairs, a, b, out);
  pairs = 0;
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++, pairs++) products[i * n + j] = products[j * n + i] = out[pairs];
}

/* Leaves the aggregated gradient in the first row. The aggregator's state is read as the step found it; what the first
 * answer makes of it waits for the step to be applied. */
static void aggregate(cohort_update_step *step, const double *losses, bool first) {
  cohort_updater *updater = step->updater;
  const cohort_aggregator *aggregator = updater->aggregator.method->functions;
  const int n = step->oracle->objectives;
  double products[MOST * MOST] = {0}, weights[MOST], *next[COHORT_MAX_STATES], scratch[COHORT_MAX_STATES][MOST * MOST];
  const double *state[COHORT_MAX_STATES];
  for (int s = 0; s < updater->aggregator_states; s++) {
    state[s] = updater->aggregator_slot[s]->values;
    next[s] = first ? updater->aggregator_next[s] : scratch[s];
    memcpy(next[s], state[s], (size_t)updater->aggregator_slot[s]->elements * sizeof(double));
  }
  if (aggregator->needs_products) gram(step, products);
  const cohort_aggregation own = {
      .config = updater->aggregator.config,
      .objectives = n,
      .step = step->step + 1,
      .products = products,
      .losses = losses,
      .key = cohort_random_key_derive(cohort_random_key_derive_name(updater->key, "aggregator"), (uint64_t)step->step),
      .state = state,
      .next = next};
  aggregator->weigh(&own, weights);
  char *rows = step->rows;
  cohort_update_combine(updater, rows, weights[0], rows, weights[1], rows + updater->stride);
  for (int i = 2; i < n; i++)
    cohort_update_combine(updater, rows, 1, rows, weights[i], rows + (size_t)i * updater->stride);
}

static void judge(cohort_update_step *step, const double *losses, cohort_answer *answer) {
  *answer = (cohort_answer){.samples = step->oracle->samples, .noise = step->oracle->noise, .finite = true};
  for (int i = 0; i < step->oracle->objectives; i++) {
    answer->loss += step->updater->weight[i] * losses[i];
    answer->finite = answer->finite && isfinite(losses[i]);
  }
}

/* Transforms change what they keep in commit alone, so a step may be left at any of their questions. A stepper may have
 * changed something once it has an answer. */
static void hold(const cohort_update_step *step, bool holds) {
  const cohort_updater *updater = step->updater;
  bool stepper = false;
  for (int n = 0; n < updater->nodes; n++) stepper = stepper || updater->node[n].functions->drive;
  if (stepper && step->oracle->hold) step->oracle->hold(step->oracle->argument, holds);
}

cohort_status cohort_update_ask_oracle(cohort_update_step *step, const cohort_question *question, cohort_answer *answer,
                                       void **gradient, void **product, cohort_error *error) {
  cohort_updater *updater = step->updater;
  const cohort_oracle *oracle = step->oracle;
  double losses[MOST] = {0};
  cohort_point point = cohort_updater_point(updater);
  if (question->point > 0)
    point.vector = &updater->vector[question->point - 1].vector;
  else
    cohort_update_bring_weights(updater);
  if (question->divergence) cohort_update_bring_weights(updater);
  double divergence = 0;
  const cohort_ask ask = {
      .point = &point,
      .gradient = gradient != NULL,
      .direction = question->direction > 0 ? cohort_update_vector_values(updater, question->direction) : NULL,
      .clip = question->clip,
      .labels = question->labels,
      .fisher = question->fisher,
      .divergence = question->divergence ? &divergence : NULL};
  if (step->asked == 1) hold(step, true);
  COHORT_TRY(oracle->ask(oracle->argument, &ask, &step->rows, losses, error));
  judge(step, losses, answer);
  answer->divergence = divergence;
  answer->finite = answer->finite && isfinite(divergence);
  const bool own = !question->labels && !question->fisher; /* about the step's own losses */
  const bool first = own && step->asked++ == 0;
  if (first) {
    memcpy(step->report->losses, losses, sizeof losses);
    step->loss = answer->loss;
    step->finite = answer->finite;
  }
  const int before = question->fisher ? 1 : updater->gradients; /* of the rows */
  if (question->direction > 0) *product = (char *)step->rows + (size_t)before * updater->stride;
  if (!gradient) return COHORT_DONE;
  if (question->objective > oracle->objectives)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "an optimizer asks for objective %d, but there are %d; name one of them", question->objective,
                       oracle->objectives);
  if (question->objective > 0 && oracle->objectives > 1) {
    if (updater->summed)
      return cohort_fail(error, COHORT_BUG, "an optimizer asked for an objective alone and has not declared it");
    *gradient = (char *)step->rows + (size_t)(question->objective - 1) * updater->stride;
    return COHORT_DONE;
  }
  if (updater->gradients > 1 && own) aggregate(step, losses, first);
  *gradient = step->rows;
  return COHORT_DONE;
}

/* What methods have reported in this step. */
static void fill_columns(const cohort_update_step *step) {
  const cohort_updater *updater = step->updater;
  int column = 0;
  for (int n = 0; n < updater->nodes; n++)
    for (int i = 0; updater->node[n].functions->reports && updater->node[n].functions->reports[i]; i++)
      step->report->columns[column++] = step->report->applied ? updater->node[n].report[i] : NAN;
  for (int g = 0; g < updater->groups.count; g++)
    for (int i = 0; updater->groups.group[g].functions->reports && updater->groups.group[g].functions->reports[i]; i++)
      step->report->columns[column++] = step->report->applied ? updater->report[g][i] : NAN;
}

static void begin(cohort_updater *updater, int64_t step) {
  if (step == 0)
    cohort_update_state_take_weights(&updater->options, &updater->groups, updater->updates, &updater->state);
  for (int v = 1; step == 0 && v <= updater->vectors; v++) {
    if (!updater->vector[v - 1].from_weights) continue;
    cohort_update_combine(updater, updater->vector[v - 1].vector.values, 1, updater->options.space->values, 0,
                          updater->options.space->values);
    updater->vector[v - 1].stale = true;
  }
  for (int n = 0; n < updater->nodes; n++) updater->node[n].answered = false;
}

bool cohort_updater_same_schedule(const cohort_updater *updater, int64_t step, int64_t before, int64_t steps) {
  enum { PLACES = 64 };
  const cohort_schedule *schedule = updater->schedule.method->functions;
  for (int i = 0; i <= PLACES; i++) {
    const int64_t at = (step - 1) * i / PLACES;
    const double then = schedule->factor(updater->schedule.config, at, before);
    const double now = schedule->factor(updater->schedule.config, at, steps);
    if (then < now || then > now) return false;
  }
  return true;
}

double cohort_updater_rate(const cohort_updater *updater) {
  return updater->groups.count ? updater->groups.group[updater->groups.count - 1].learning_rate
                               : cohort_choice_real(&updater->node[0].choice, "learning_rate", 1);
}

cohort_status cohort_updater_step(cohort_updater *updater, const cohort_oracle *oracle, int64_t step, int64_t steps,
                                  cohort_step_report *report, cohort_error *error) {
  const cohort_schedule *schedule = updater->schedule.method->functions;
  const double factor = schedule->factor(updater->schedule.config, step, steps);
  return cohort_updater_step_by(updater, oracle, step, steps, factor, report, error);
}

cohort_status cohort_updater_step_by(cohort_updater *updater, const cohort_oracle *oracle, int64_t step, int64_t steps,
                                     double factor, cohort_step_report *report, cohort_error *error) {
  memset(report, 0, sizeof *report);
  cohort_update_step own = {.updater = updater,
                            .oracle = oracle,
                            .report = report,
                            .step = step,
                            .steps = steps,
                            .factor = factor,
                            .loss = NAN};
  report->learning_rate = cohort_updater_rate(updater) * own.factor;
  begin(updater, step);
  const cohort_status status = cohort_update_take(&own, 0, &report->applied, error);
  if (own.asked > 1) hold(&own, false);
  COHORT_TRY(status);
  cohort_update_bring_weights(updater);
  if (!updater->options.overlap) cohort_updater_wait(updater);
  if (report->applied) {
    cohort_update_commit(&own);
    for (int s = 0; s < updater->aggregator_states && updater->gradients > 1; s++)
      memcpy(updater->aggregator_slot[s]->values, updater->aggregator_next[s],
             (size_t)updater->aggregator_slot[s]->elements * sizeof(double));
  }
  fill_columns(&own);
  return COHORT_DONE;
}
