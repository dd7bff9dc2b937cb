/* What is asked of settings that have been read: places of keys, faults at them, the number of lanes; and their end. A
 * place costs the length of its path. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/settings.h"
#include "train/task/registry.h"

const cohort_document *cohort_settings_place(const cohort_settings *settings, const char *key) {
  const cohort_document *at = settings->given;
  for (const char *name = key; at && *name;) {
    const size_t length = strcspn(name, ".");
    char *const own = cohort_format_text("%.*s", (int)length, name);
    const cohort_document *const next = cohort_document_get(at, own);
    free(own);
    if (!next) break;
    at = next;
    name += length + (name[length] == '.');
  }
  return at;
}

cohort_status cohort_settings_fail(const cohort_settings *settings, const char *key, cohort_error *error,
                                   const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  cohort_faults faults = {0};
  cohort_faults_add(&faults, cohort_settings_place(settings, key), "%s", text);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status;
}

void cohort_settings_release(cohort_settings *settings) {
  cohort_document_destroy(settings->expanded);
  settings->expanded = NULL;
  cohort_document_destroy(settings->adopted);
  settings->adopted = NULL;
  free(settings->task_settings);
  settings->task_settings = NULL;
  if (settings->shared_text) free(settings->shared_text->text);
  free(settings->shared_text);
  settings->shared_text = NULL;
}

int cohort_settings_lanes(const cohort_settings *settings, int64_t tokens_per_sample) {
  if (settings->is_federated) { /* of evaluation */
    const int64_t clients = settings->federated_settings.clients_per_round;
    return clients < COHORT_MAX_LANES ? (int)clients : COHORT_MAX_LANES;
  }
  if (settings->lanes) return (int)settings->lanes;
  const int64_t rows = settings->batch * (tokens_per_sample ? tokens_per_sample : 1);
  const int64_t least = tokens_per_sample ? 512 : settings->task->uses & COHORT_TASK_MODEL ? 32 : 1;
  int lanes = 8;
  while (lanes > 1 && (rows / lanes < least || settings->batch < lanes)) lanes /= 2;
  return lanes;
}
