/* The end of a secure round: answers, the masks that are left, the sum as reals. Invariant: whether a round is refused
 * depends on who answers alone, so all ranks agree without a word; a sum depends on nothing but the uploads. A rank
 * removes the masks of its own clients, stretch by stretch on all its threads, then adds a slice of all ranks' sums. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/secure/secure_state.h"

/* Words that one thread takes at a time. */
enum { TILE = 8 * COHORT_SECURE_STRETCH };

/* ---- answers ---- */

static void answer(void *argument, int64_t own) {
  cohort_secure *secure = argument;
  const size_t degree = (size_t)secure->graph.degree;
  const int leaf = secure->first + (int)own;
  cohort_secure_share *answers = secure->answers + (size_t)leaf * degree;
  memset(answers, 0, degree * sizeof *answers);
  if (!secure->answering[leaf]) return;
  const cohort_secure_box **incoming = (void *)cohort_secure_room_of(secure, own);
  for (int slot = 0; slot < secure->graph.degree; slot++) {
    const int other = cohort_secure_neighbour(&secure->graph, leaf, slot);
    incoming[slot] =
        &secure->boxes[(size_t)other * degree + (size_t)cohort_secure_back_slot(&secure->graph, leaf, slot)];
  }
  cohort_secure_client_answer(&secure->client[own], &secure->public, secure->sealing + (size_t)own * degree,
                              secure->delivered, incoming, answers);
}

/* Where nothing is masked, who would have answered. */
static void answer_without_masks(cohort_secure *secure) {
  for (int leaf = 0; leaf < secure->clients; leaf++)
    for (int slot = 0; slot < secure->graph.degree; slot++) {
      const int other = cohort_secure_neighbour(&secure->graph, leaf, slot);
      const cohort_secure_share_of of =
          secure->delivered[other] ? COHORT_SECURE_SHARE_OF_SEED : COHORT_SECURE_SHARE_OF_SECRET;
      secure->answers[(size_t)leaf * (size_t)secure->graph.degree + (size_t)slot].of =
          secure->answering[leaf] ? of : COHORT_SECURE_NO_SHARE;
    }
}

static void collect_answers(cohort_secure *secure) {
  if (!secure->options.settings->masks) {
    answer_without_masks(secure);
    return;
  }
  cohort_team_run(&secure->team, secure->own, answer, secure);
  cohort_secure_gather(secure, secure->answers, (size_t)secure->graph.degree * sizeof *secure->answers);
}

static void refuse(const cohort_secure *secure, cohort_secure_report *report) {
  int answered = 0, client = -1;
  if (secure->clients < 2)
    (void)snprintf(report->reason, sizeof report->reason, "a round of %d has nobody to hide among", secure->clients);
  else if (secure->delivered_clients < 2)
    (void)snprintf(report->reason, sizeof report->reason, "%d of %d clients delivered; the sum would show a change",
                   secure->delivered_clients, secure->clients);
  else if ((client = cohort_secure_server_check(&secure->public, secure->delivered, secure->answers, &answered)) >= 0)
    (void)snprintf(report->reason, sizeof report->reason,
                   "client %lld: %d of its %d neighbours answer, %d are needed to remove its masks",
                   (long long)secure->round.client[secure->round.order->item[client]], answered, secure->graph.degree,
                   secure->public.threshold);
  report->refused = report->reason[0] != 0;
}

/* ---- the sum ---- */

static void reconstruct(void *argument, int64_t own) {
  cohort_secure *secure = argument;
  const int masks =
      cohort_secure_server_masks(&secure->public, secure->first + (int)own, secure->delivered, secure->answers,
                                 cohort_secure_room_of(secure, own), secure->mask + secure->first_mask[own]);
  if (masks < 0) atomic_store(&secure->spoilt, true);
}

/* The masks that this rank's clients leave in the sum, one after another. */
static void list_masks(cohort_secure *secure) {
  secure->masks = 0;
  if (!secure->options.settings->masks) return;
  secure->first_mask = cohort_scratch_take(&secure->first_room, (size_t)(secure->own + 1) * sizeof *secure->first_mask);
  for (int own = 0; own < secure->own; own++) {
    const int leaf = secure->first + own;
    secure->first_mask[own] = secure->masks;
    secure->masks += secure->delivered[leaf];
    for (int slot = 0; slot < secure->graph.degree && !secure->delivered[leaf]; slot++)
      secure->masks += secure->delivered[cohort_secure_neighbour(&secure->graph, leaf, slot)];
  }
  secure->mask = cohort_scratch_take(&secure->mask_room, (size_t)secure->masks * sizeof *secure->mask);
  cohort_team_run(&secure->team, secure->own, reconstruct, secure);
}

/* A tile of the rank's sum: the threads' sums, without the masks. */
static void sum_tile(void *argument, int64_t tile) {
  cohort_secure *secure = argument;
  const int64_t first = tile * TILE, left = secure->words - first, count = left < TILE ? left : TILE;
  const int modulus = secure->how.modulus;
  const size_t at = (size_t)first * cohort_fixed_point_bytes(&secure->how);
  char *sum = (char *)secure->executor[0].sum + at;
  if (!secure->executor[0].used) memset(sum, 0, (size_t)count * cohort_fixed_point_bytes(&secure->how));
  for (int e = 1; e < secure->options.threads; e++)
    if (secure->executor[e].used) cohort_words_add(modulus, count, sum, (char *)secure->executor[e].sum + at);
  for (int64_t m = 0; m < secure->masks; m += INT16_MAX) {
    const int64_t masks = secure->masks - m < INT16_MAX ? secure->masks - m : INT16_MAX;
    cohort_secure_masks_apply((int)masks, secure->mask + m, modulus, first, count, sum);
  }
}

/* Words that a rank adds: whole cache lines. */
static int64_t slice_begin(const cohort_secure *secure, int rank) {
  const int64_t lines = (secure->words + 15) / 16, begin = lines * rank / secure->options.comm->size * 16;
  return begin < secure->words ? begin : secure->words;
}

/* This rank's slice of all ranks' sums, in place in its own. */
static void add_slices(cohort_secure *secure) {
  cohort_comm *comm = secure->options.comm;
  if (comm->size == 1) return;
  const size_t word = cohort_fixed_point_bytes(&secure->how);
  const int64_t begin = slice_begin(secure, comm->rank), count = slice_begin(secure, comm->rank + 1) - begin;
  char *sum = secure->executor[0].sum, *coming;
  coming = cohort_scratch_take(&secure->coming_room, (size_t)(comm->size - 1) * (size_t)count * word);
  cohort_message *send = cohort_scratch_take(&secure->message_room, 2 * (size_t)comm->size * sizeof *send);
  cohort_message *receive = send + comm->size;
  int others = 0;
  for (int r = 0; r < comm->size; r++) {
    if (r == comm->rank) continue;
    const int64_t first = slice_begin(secure, r);
    send[others] = (cohort_message){r, sum + (size_t)first * word, (size_t)(slice_begin(secure, r + 1) - first) * word};
    receive[others] = (cohort_message){r, coming + (size_t)others * (size_t)count * word, (size_t)count * word};
    others++;
  }
  cohort_comm_name(comm, "secure aggregation");
  comm->exchange(comm, others, send, others, receive);
  for (int i = 0; i < others; i++)
    cohort_words_add(secure->how.modulus, count, sum + (size_t)begin * word, receive[i].data);
}

/* What a sum of steps is multiplied by: of the change, of the vectors that weigh alike. */
static double factor_of(const cohort_secure *secure, bool change) {
  const double step = cohort_fixed_point_step(&secure->how);
  if (!change) return step / secure->delivered_clients;
  const double factor = step * secure->whole_share / secure->clients;
  return secure->round.fixed ? factor : factor * (secure->whole_share / secure->delivered_share);
}

/* The slice as reals, then all slices to all. */
static void read_sum(cohort_secure *secure, char *row) {
  const cohort_secure_options *options = &secure->options;
  const int ranks = options->comm->size;
  const size_t word = cohort_fixed_point_bytes(&secure->how);
  const int64_t begin = slice_begin(secure, options->comm->rank), end = slice_begin(secure, options->comm->rank + 1);
  const int64_t border = options->elements < begin ? begin : options->elements < end ? options->elements : end;
  const char *sum = secure->executor[0].sum;
  cohort_fixed_point_read(&secure->how, factor_of(secure, true), options->real, border - begin,
                          sum + (size_t)begin * word, row + (size_t)begin * options->real);
  cohort_fixed_point_read(&secure->how, factor_of(secure, false), options->real, end - border,
                          sum + (size_t)border * word, row + (size_t)border * options->real);
  size_t *offsets = cohort_scratch_take(&secure->place_room, 2 * (size_t)ranks * sizeof *offsets);
  for (int r = 0; r < ranks; r++) {
    offsets[r] = (size_t)slice_begin(secure, r) * options->real;
    offsets[ranks + r] = (size_t)slice_begin(secure, r + 1) * options->real - offsets[r];
  }
  cohort_comm_gather_all(options->comm, row, offsets, offsets + ranks);
}

/* What threads and ranks have seen, added. */
static cohort_fixed_point_count seen_by_all(cohort_secure *secure) {
  const cohort_comm *comm = secure->options.comm;
  const size_t ranks = (size_t)comm->size, bytes = sizeof(cohort_fixed_point_count);
  size_t *offsets = cohort_scratch_take(&secure->place_room, ranks * (2 * sizeof *offsets + bytes));
  cohort_fixed_point_count *seen = (void *)(offsets + 2 * ranks), all = {0};
  for (size_t r = 0; r < ranks; r++) {
    offsets[r] = r * bytes;
    offsets[ranks + r] = bytes;
  }
  seen[comm->rank] = all;
  for (int e = 0; e < secure->options.threads; e++) {
    seen[comm->rank].clipped += secure->executor[e].seen.clipped;
    seen[comm->rank].infinite += secure->executor[e].seen.infinite;
  }
  cohort_comm_gather_all(secure->options.comm, seen, offsets, offsets + ranks);
  for (size_t r = 0; r < ranks; r++) {
    all.clipped += seen[r].clipped;
    all.infinite += seen[r].infinite;
  }
  return all;
}

static void set_first_nan(size_t real, void *row) {
  if (real == sizeof(double))
    *(double *)row = NAN;
  else
    *(float *)row = NAN;
}

cohort_status cohort_secure_finish(cohort_secure *secure, void *row, cohort_secure_report *report,
                                   cohort_error *error) {
  *report = (cohort_secure_report){.delivered = secure->delivered_clients, .bound = NAN, .clipped = NAN};
  if (secure->clients >= 2) collect_answers(secure);
  refuse(secure, report);
  if (report->refused) return COHORT_DONE;
  list_masks(secure);
  if (cohort_comm_agree(secure->options.comm, atomic_load(&secure->spoilt)) != 0)
    return cohort_fail(error, COHORT_BUG, "secure aggregation: a key of round %lld is not what was advertised",
                       (long long)secure->round.number);
  cohort_team_run(&secure->team, (secure->words + TILE - 1) / TILE, sum_tile, secure);
  add_slices(secure);
  read_sum(secure, row);
  const cohort_fixed_point_count seen = seen_by_all(secure);
  if (seen.infinite) set_first_nan(secure->options.real, row);
  report->clipped = (double)seen.clipped / ((double)secure->words * secure->delivered_clients);
  report->bound =
      factor_of(secure, true) * secure->delivered_clients * (secure->how.rounding == COHORT_ROUND_NEAREST ? 0.5 : 1);
  return COHORT_DONE;
}
