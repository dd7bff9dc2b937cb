/* Runs as `cohort train` makes them, on ranks that are threads of this process, with small data of their own: what the
 * contract tests of all families train with. */
#ifndef COHORT_TESTS_CONTRACT_RUN_FIXTURE_H
#define COHORT_TESTS_CONTRACT_RUN_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/comm.h"
#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "io/checkpoint.h"
#include "io/config.h"
#include "method/registry.h"
#include "preference_data.h"
#include "train/run/run.h"

enum { RUN_SAMPLES = 60, RUN_SIDE = 6, RUN_CLASSES = 4, RUN_STEPS = 6, RUN_HALF = 3 };

static char run_scratch[64];

static inline void run_put_big(FILE *file, uint32_t value) {
  const unsigned char bytes[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                  (unsigned char)(value >> 8), (unsigned char)value};
  (void)fwrite(bytes, 1, 4, file);
}

static inline FILE *run_create_file(const char *name) {
  char path[96];
  (void)snprintf(path, sizeof path, "%s/%s", run_scratch, name);
  FILE *file = fopen(path, "wb");
  if (!file) exit(1);
  return file;
}

/* Completions in all shapes: DATA/pairs.jsonl and so on. */
static inline void run_make_completions(void) {
  static const char *const name[] = {"pairs.jsonl", "lists.jsonl", "unpaired.jsonl", "stepwise.jsonl"};
  for (int shape = 0; shape < 4; shape++) {
    FILE *file = run_create_file(name[shape]);
    preference_write(file, (preference_shape)shape);
    (void)fclose(file);
  }
}

/* Images and labels as IDX, labels of two classes, a text, and what populations are made of: owners, verses, LEAF. */
static inline void run_make_data(void) {
  /* Every save is synchronised: in memory, where there is such a folder, that takes no time. */
  (void)snprintf(run_scratch, sizeof run_scratch, "%s/contract_XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  if (!mkdtemp(run_scratch)) exit(1);
  FILE *images = run_create_file("images"), *labels = run_create_file("labels"), *text = run_create_file("text");
  FILE *halves = run_create_file("halves");
  run_put_big(halves, 0x801);
  run_put_big(halves, RUN_SAMPLES);
  run_put_big(images, 0x803);
  run_put_big(labels, 0x801);
  run_put_big(images, RUN_SAMPLES);
  run_put_big(labels, RUN_SAMPLES);
  run_put_big(images, RUN_SIDE);
  run_put_big(images, RUN_SIDE);
  for (int s = 0; s < RUN_SAMPLES; s++) {
    (void)fputc(s % RUN_CLASSES, labels);
    (void)fputc(s % RUN_CLASSES / 2, halves);
    for (int i = 0; i < RUN_SIDE * RUN_SIDE; i++)
      (void)fputc((s % RUN_CLASSES) * 40 + (s * 131 + i * i * 17) % 90, images);
  }
  FILE *owners = run_create_file("owners.csv"), *verses = run_create_file("verses"),
       *leaf = run_create_file("leaf.json");
  (void)fprintf(owners, "sample,client\n");
  for (int s = 0; s < RUN_SAMPLES; s++) (void)fprintf(owners, "%d,%d\n", s, s * 3 % 5);
  for (int verse = 0; verse < 90; verse++)
    (void)fprintf(verses, "%s%d:%d And it was said for the %dth time.\n",
                  verse < 40   ? "Ge"
                  : verse < 70 ? "1Sa"
                               : "Rev",
                  verse / 10 + 1, verse % 10 + 1, verse * verse % 41);
  (void)fprintf(leaf, "{\"users\": [\"a\", \"b\", \"c\"], \"num_samples\": [9, 10, 11], \"user_data\": {");
  for (int user = 0; user < 3; user++) {
    (void)fprintf(leaf, "%s\"%c\": {\"x\": [", user ? ", " : "", 'a' + user);
    for (int s = 0; s < 9 + user; s++) (void)fprintf(leaf, "%s[%d, %d.5]", s ? ", " : "", s % 3, (s + user) % 4);
    (void)fprintf(leaf, "], \"y\": [");
    for (int s = 0; s < 9 + user; s++) (void)fprintf(leaf, "%s%d", s ? ", " : "", (s + user) % 3);
    (void)fprintf(leaf, "]}");
  }
  (void)fprintf(leaf, "}}\n");
  (void)fclose(owners);
  (void)fclose(verses);
  (void)fclose(leaf);
  for (int line = 0; line < 80; line++)
    (void)fprintf(text, "line %d says that %d is not %d\n", line, line * line % 61, line % 7);
  (void)fclose(images);
  (void)fclose(labels);
  (void)fclose(halves);
  (void)fclose(text);
  run_make_completions();
}

static inline void run_remove_data(void) {
  char command[128];
  (void)snprintf(command, sizeof command, "rm -rf '%s'", run_scratch);
  if (system(command) != 0) fprintf(stderr, "%s stays\n", run_scratch);
}

/* `config` with DATA in place of the folder, read as settings; false, with the message, when it is refused. */
typedef struct run_config {
  cohort_document *document;
  cohort_settings settings;
} run_config;

static inline bool run_config_read(const char *config, run_config *out, cohort_error *error) {
  cohort_text text = {.text = NULL};
  for (const char *at = config; *at;) {
    const char *hole = strstr(at, "DATA");
    const int length = (int)(hole ? hole - at : (long)strlen(at));
    cohort_text_put(&text, "%.*s%s", length, at, hole ? run_scratch : "");
    at += length + (hole ? 4 : 0);
  }
  cohort_faults faults = {0};
  memset(out, 0, sizeof *out);
  cohort_status status = cohort_config_parse(text.text, strlen(text.text), "c.yaml", &out->document, error);
  if (status == COHORT_DONE) cohort_settings_read(out->document, &out->settings, &faults);
  if (status == COHORT_DONE) status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  free(text.text);
  return status == COHORT_DONE;
}

static inline void run_config_release(run_config *own) {
  cohort_settings_release(&own->settings);
  cohort_document_destroy(own->document);
}

/* What a world of ranks is to do, and what its ranks saw of it. */
typedef struct run_world {
  const char *config;
  int ranks, threads;
  const char *from;              /* a checkpoint's folder to resume from, or NULL */
  const char *half, *to;         /* folders to save to after RUN_HALF steps and at the end, or NULL */
  cohort_run_row row[RUN_STEPS]; /* of rank 0 */
  bool differ;                   /* ranks report different things */
  cohort_error error;
  /* What else is done before and after each step on every rank; or NULL. */
  void (*watch)(struct run_world *world, cohort_comm *comm, cohort_run *run, int64_t step, bool after);
  void *argument;
} run_world;

static inline cohort_status run_world_steps(run_world *world, cohort_comm *comm, cohort_run *run, cohort_error *error) {
  bool found = false;
  char *path = NULL;
  if (world->from) {
    char *last = cohort_format_text("%s/final.h5", world->from); /* there is none */
    const cohort_status status = cohort_run_resume(run, world->from, last, &found, &path, error);
    free(last);
    free(path);
    COHORT_TRY(status);
  }
  if (world->from && !found) return cohort_fail(error, COHORT_BUG, "there is no checkpoint");
  if (!world->from) COHORT_TRY(cohort_run_score(run, error));
  for (int64_t step = cohort_run_where(run).step; step < RUN_STEPS; step++) {
    cohort_run_row row;
    if (world->watch) world->watch(world, comm, run, step, false);
    COHORT_TRY(cohort_run_step(run, false, &row, error));
    if (world->watch) world->watch(world, comm, run, step, true);
    if (comm->rank == 0) world->row[step] = row;
    cohort_comm_barrier(comm);
    if (memcmp(&row, &world->row[step], sizeof row) != 0) world->differ = true;
    if (step + 1 == RUN_HALF && world->half) COHORT_TRY(cohort_run_save(run, world->half, NULL, NULL, error));
  }
  return world->to ? cohort_run_save(run, world->to, NULL, NULL, error) : COHORT_DONE;
}

static inline cohort_status run_world_rank(cohort_comm *comm, void *argument) {
  run_world *world = argument;
  const cohort_log log = {0};
  run_config config;
  cohort_run *run = NULL;
  cohort_error error = {0};
  cohort_status status = run_config_read(world->config, &config, &error) ? COHORT_DONE : COHORT_BAD_CONFIG;
  if (status == COHORT_DONE) status = cohort_run_create(&config.settings, comm, &log, world->threads, &run, &error);
  if (status == COHORT_DONE) status = run_world_steps(world, comm, run, &error);
  if (comm->rank == 0) world->error = error;
  cohort_run_destroy(run);
  run_config_release(&config);
  return status;
}

static inline cohort_status run_world_run(run_world *world) {
  return cohort_comm_run_threads(world->ranks, run_world_rank, world);
}

#endif
