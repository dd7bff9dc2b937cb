/* The words of the command line: parameters of the method and settings of its family. */
#include <stdlib.h>
#include <string.h>

#include "base/foreign.h"
#include "base/memory.h"
#include "io/config.h"
#include "probe/probe.h"

enum { MOST_KEYS = 128 };

typedef struct keys {
  const char *name[MOST_KEYS];
  size_t count;
} keys;

static const cohort_probe_setting *find_setting(const cohort_probe_state *probe, const cohort_method *method,
                                                const char *name) {
  for (const cohort_probe_setting *s = probe->family->settings; s && s->name; s++)
    if (strcmp(s->name, name) == 0 && cohort_array_applies(s->when, method)) return s;
  return NULL;
}

static keys list_keys(const cohort_probe_state *probe, const cohort_method *method) {
  keys all = {.count = 0};
  for (const cohort_parameter *p = method->parameters; p && p->name && all.count < MOST_KEYS; p++)
    all.name[all.count++] = p->name;
  for (const cohort_probe_setting *s = probe->family->settings; s && s->name && all.count < MOST_KEYS; s++)
    if (cohort_array_applies(s->when, method)) all.name[all.count++] = s->name;
  return all;
}

static bool known(const keys *all, const char *key) {
  for (size_t k = 0; k < all->count; k++)
    if (strcmp(all->name[k], key) == 0) return true;
  return false;
}

static void refuse_key(const keys *all, const cohort_method *method, const char *key, cohort_faults *faults) {
  char hint[256];
  const char *nearest = cohort_nearest_name(key, all->name, all->count);
  const bool same = nearest && cohort_same_letters(nearest, key);
  const bool foreign = !same && cohort_foreign_hint("", key, all->name, all->count, hint, sizeof hint);
  if (foreign && !strchr(hint, '.'))
    cohort_faults_add(faults, NULL, "command line: %s: %s %s has no such key; write %s", key, method->family,
                      method->key, hint);
  else if (nearest)
    cohort_faults_add(faults, NULL, "command line: %s: %s %s has no such key; did you mean %s?", key, method->family,
                      method->key, nearest);
  else
    cohort_faults_add(faults, NULL, "command line: %s: %s %s has no such key; cohort methods %s %s lists them", key,
                      method->family, method->key, method->family, method->key);
}

/* Moves what the family takes into `settings`, reports what nobody takes. */
static void sort_out(cohort_probe_state *probe, const cohort_method *method, const cohort_document *words,
                     cohort_document *own, cohort_faults *faults) {
  const keys all = list_keys(probe, method);
  for (size_t i = 0; i < words->count; i++) {
    const char *key = words->names[i];
    if (!known(&all, key))
      refuse_key(&all, method, key, faults);
    else
      cohort_document_set(find_setting(probe, method, key) ? probe->settings : own, key,
                          cohort_document_copy(words->children[i]));
  }
}

static void read_settings(cohort_probe_state *probe, const cohort_method *method, cohort_faults *faults) {
  cohort_parameter table[COHORT_PROBE_SETTINGS + 1] = {{.name = NULL}};
  int entries = 0;
  const cohort_probe_setting *given = probe->family->settings;
  for (int i = 0; given && i < COHORT_PROBE_SETTINGS && given[i].name; i++) {
    const cohort_probe_setting *setting = &given[i];
    if (!cohort_array_applies(setting->when, method)) continue;
    table[entries++] = (cohort_parameter){
        .name = setting->name,
        .type = setting->real ? COHORT_PARAMETER_REAL : COHORT_PARAMETER_INTEGER,
        .offset = (setting->real ? offsetof(cohort_probe_state, real_setting) : offsetof(cohort_probe_state, setting)) +
                  (size_t)i * sizeof(int64_t),
        .standard = setting->standard,
        .minimum = setting->minimum ? strtod(setting->minimum, NULL) : -INFINITY,
        .maximum = INFINITY,
        .meaning = setting->meaning};
  }
  table[entries] = (cohort_parameter){.name = NULL};
  cohort_parameters_read(table, probe->settings, "", probe, NULL, faults);
}

int64_t cohort_probe_setting_value(const cohort_probe_state *probe, const char *name) {
  const cohort_probe_setting *given = probe->family->settings;
  for (int i = 0; given && given[i].name; i++)
    if (strcmp(given[i].name, name) == 0 && cohort_array_applies(given[i].when, probe->choice.method))
      return probe->setting[i];
  return 0;
}

double cohort_probe_real_setting(const cohort_probe_state *probe, const char *name) {
  const cohort_probe_setting *given = probe->family->settings;
  for (int i = 0; given && given[i].name; i++)
    if (given[i].real && strcmp(given[i].name, name) == 0 && cohort_array_applies(given[i].when, probe->choice.method))
      return probe->real_setting[i];
  return 0;
}

static cohort_status apply(cohort_probe_state *probe, cohort_document *words, cohort_error *error) {
  for (int w = 0; w < probe->request->words; w++)
    COHORT_TRY(cohort_config_override(words, probe->request->word[w], error));
  return COHORT_DONE;
}

cohort_status cohort_probe_read_words(cohort_probe_state *probe, const cohort_method *method, cohort_error *error) {
  const char *place = "command line";
  probe->parameters = cohort_document_create(COHORT_MAP, place, 0, 0);
  probe->settings = cohort_document_create(COHORT_MAP, place, 0, 0);
  cohort_document *own = cohort_document_create(COHORT_MAP, place, 0, 0);
  cohort_document_set(probe->parameters, method ? method->key : probe->request->name, own);
  if (!method) return COHORT_DONE; /* reading the choice tells the nearest name */
  cohort_document *words = cohort_document_create(COHORT_MAP, place, 0, 0);
  cohort_status status = apply(probe, words, error);
  if (status == COHORT_DONE) {
    cohort_faults faults = {NULL, 0};
    sort_out(probe, method, words, own, &faults);
    if (!faults.count) read_settings(probe, method, &faults);
    status = cohort_faults_status(&faults, error);
    cohort_faults_release(&faults);
  }
  cohort_document_destroy(words);
  return status;
}
