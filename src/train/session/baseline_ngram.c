/* Counts n-grams in hash tables and scores by interpolated Kneser-Ney. An entry is found by a hash and confirmed by
 * where it stood first. A lookup an order for each token; 24 bytes a distinct n-gram. */
#include "train/session/baseline_ngram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_ORDER = 8 };

/* All n-grams of one order, open addressing. An entry is found by the order's tokens packed into a hash of two words;
 * equal hashes are told apart by where the n-gram first stood. */
typedef struct entry {
  uint32_t place;   /* of its first token, + 1; 0: free */
  uint32_t count;   /* as a gram: highest order: how often; else in how many left contexts */
  uint32_t follows; /* as a context: distinct tokens after it */
  uint32_t total;   /* as a context: sum of the counts of its extensions */
} entry;

typedef struct table {
  int order; /* tokens of a key */
  size_t slots, used;
  entry *slot;
} gram_table;

typedef struct model {
  const int32_t *tokens;
  int order, vocabulary;
  gram_table gram[MOST_ORDER + 1]; /* gram[n]: keys of n tokens; gram[0] is one context */
  double discount[MOST_ORDER + 1];
} model;

static uint64_t hash_of(const int32_t *key, int length) {
  uint64_t hash = 0x9E3779B97F4A7C15u ^ (uint64_t)length;
  for (int i = 0; i < length; i++) {
    hash = (hash ^ (uint64_t)(uint32_t)key[i]) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
  }
  return hash;
}

static entry *find(const model *own, const gram_table *table, const int32_t *key) {
  size_t at = (size_t)hash_of(key, table->order) & (table->slots - 1);
  for (;; at = (at + 1) & (table->slots - 1)) {
    entry *found = &table->slot[at];
    if (!found->place || memcmp(own->tokens + found->place - 1, key, (size_t)table->order * sizeof *key) == 0)
      return found;
  }
}

static void grow(const model *own, gram_table *table) {
  entry *old = table->slot;
  const size_t slots = table->slots;
  table->slots = slots ? 2 * slots : 1024;
  table->slot = cohort_allocate(table->slots * sizeof *table->slot);
  for (size_t i = 0; i < slots; i++)
    if (old[i].place) *find(own, table, own->tokens + old[i].place - 1) = old[i];
  free(old);
}

/* The entry of the key that stands at `place`, made when new. */
static entry *at_place(const model *own, gram_table *table, int64_t place) {
  if (2 * (table->used + 1) > table->slots) grow(own, table);
  entry *found = find(own, table, own->tokens + place);
  if (!found->place) {
    found->place = (uint32_t)place + 1;
    table->used++;
  }
  return found;
}

/* One more sight of the n-gram at `place`. Counts of the highest order are occurrences; those of the lower orders are
 * distinct tokens before (continuation counts): a gram seen for the first time is one more left context of its tail,
 * and so on down while each is new. */
static void see(model *own, int64_t place, int n) {
  for (int64_t end = place + n; n >= 1; n--)
    if (at_place(own, &own->gram[n], end - n)->count++ > 0) break;
}

static void count_grams(model *own, int64_t train) {
  for (int64_t p = 0; p + own->order <= train; p++) see(own, p, own->order);
  /* The text's first grams have no token before them; those that stand nowhere else are left contexts all the same. */
  for (int n = own->order - 1; n >= 2; n--)
    if (at_place(own, &own->gram[n], 0)->count == 0) see(own, 1, n - 1);
}

/* Sums over the extensions of every context. */
static void sum_contexts(model *own) {
  for (int n = 1; n <= own->order; n++)
    for (size_t i = 0; i < own->gram[n].slots; i++) {
      const entry gram = own->gram[n].slot[i];
      if (!gram.place || !gram.count) continue;
      entry *context = at_place(own, &own->gram[n - 1], gram.place - 1);
      context->follows++;
      context->total += gram.count;
    }
}

static void set_discounts(model *own) {
  for (int n = 1; n <= own->order; n++) {
    double once = 0, twice = 0;
    for (size_t i = 0; i < own->gram[n].slots; i++) {
      once += own->gram[n].slot[i].count == 1;
      twice += own->gram[n].slot[i].count == 2;
    }
    own->discount[n] = once > 0 ? once / (once + 2 * twice) : 0;
  }
}

/* p(token | the n - 1 tokens before), interpolated down to the uniform distribution. The key ends with the token. */
static double probability(const model *own, const int32_t *last, int order) {
  double p = 1.0 / own->vocabulary;
  for (int n = 1; n <= order; n++) {
    const int32_t *key = last - (n - 1);
    const entry *context = find(own, &own->gram[n - 1], key);
    if (!context->place || !context->total) break; /* an unseen context: longer ones are unseen too */
    const entry *gram = find(own, &own->gram[n], key);
    const double seen = gram->place && gram->count ? (double)gram->count - own->discount[n] : 0;
    p = (seen + own->discount[n] * context->follows * p) / context->total;
  }
  return p;
}

cohort_status cohort_ngram_score(const int32_t *tokens, int64_t train, int64_t all, int vocabulary, int order,
                                 double *nats, cohort_error *error) {
  if (order < 1 || order > MOST_ORDER || train < order || all <= train || all >= UINT32_MAX)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "rival: an n-gram of order %d needs 1 to %d and a text to train and score on", order,
                       MOST_ORDER);
  model own = {.tokens = tokens, .order = order, .vocabulary = vocabulary};
  for (int n = 0; n <= order; n++) {
    own.gram[n].order = n;
    grow(&own, &own.gram[n]);
  }
  count_grams(&own, train);
  sum_contexts(&own);
  set_discounts(&own);
  double sum = 0;
  for (int64_t p = train; p < all; p++) sum -= log(probability(&own, tokens + p, (int)(p + 1 < order ? p + 1 : order)));
  *nats = sum / (double)(all - train);
  for (int n = 0; n <= order; n++) free(own.gram[n].slot);
  return COHORT_DONE;
}
