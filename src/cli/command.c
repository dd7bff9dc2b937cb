/* What every verb that needs a config does around its work: words, config, world, threads, log; and the way out.
 * Whatever opened is closed in the opposite order, on every path. */
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "cli/verbs.h"
#include "io/checkpoint.h"
#include "io/config.h"
#include "io/dataset/dataset.h"
#include "io/run_directory.h"
#include "mpi/world.h"

/* "configs/gpt_kjv.yaml" -> "runs/gpt_kjv" */
static char *default_run_path(const char *config) {
  const char *name = strrchr(config, '/') ? strrchr(config, '/') + 1 : config;
  const char *dot = strrchr(name, '.');
  return cohort_format_text("runs/%.*s", (int)(dot ? dot - name : (long)strlen(name)), name);
}

/* A command that came with a run directory is refused; one that was given beside it is the user's. */
static void check_commands(const cohort_document *document, cohort_faults *faults) {
  static const char *const keys[] = {"text", "lines"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const cohort_document *value = cohort_document_get(cohort_document_get(document, "data"), keys[i]);
    if (!value || value->kind != COHORT_SCALAR || !cohort_text_is_command(value->text)) continue;
    if (value->file && strcmp(value->file, COHORT_COMMAND_LINE) == 0) continue;
    cohort_faults_add(
        faults, value,
        "data.%s: the run's config asks for the command %s, and what came with a run is not run; to run it, "
        "or to take another text, give data.%s=... on the command line",
        keys[i], value->text + 1, keys[i]);
  }
}

static bool is_checkpoint(const char *path) {
  const size_t length = strlen(path);
  return length > 3 && strcmp(path + length - 3, ".h5") == 0;
}

cohort_status cohort_command_read(const char *config, int overrides, char *const *override, cohort_document **out,
                                  cohort_error *error) {
  if (!is_checkpoint(config)) return cohort_config_read(config, overrides, override, out, error);
  char *text = NULL;
  cohort_document *document = NULL;
  COHORT_TRY(cohort_checkpoint_text(config, "config", &text, error));
  cohort_status status = cohort_config_parse(text, strlen(text), config, &document, error);
  free(text);
  for (int i = 0; i < overrides && status == COHORT_DONE; i++)
    status = cohort_config_override(document, override[i], error);
  if (status == COHORT_DONE)
    *out = document;
  else
    cohort_document_destroy(document);
  return status;
}

static cohort_status read_settings(const char *config, cohort_config_origin origin, int overrides,
                                   char *const *override, cohort_command_context *command, cohort_error *error) {
  COHORT_TRY(cohort_command_read(config, overrides, override, &command->document, error));
  cohort_faults faults = {0};
  cohort_settings_read(command->document, &command->settings, &faults);
  if (origin == COHORT_CONFIG_OF_RUN) check_commands(command->document, &faults);
  command->settings.program = cohort_command_provenance();
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status;
}

cohort_status cohort_command_open(const char *config, cohort_config_origin origin, int overrides, char *const *override,
                                  cohort_command_context *command, cohort_error *error) {
  memset(command, 0, sizeof *command);
  COHORT_TRY(cohort_world_open(&command->comm, error));
  command->log.speaks = command->comm.rank == 0;
  COHORT_TRY(cohort_comm_agree_error(&command->comm, read_settings(config, origin, overrides, override, command, error),
                                     error));
  cohort_world_watch(&command->comm, command->settings.watchdog, NULL);
  command->topology =
      cohort_topology_create(&command->comm, command->settings.threads, command->settings.bind == COHORT_BIND_AUTO);
  command->threads = cohort_topology_threads(command->topology);
  command->run_path = command->settings.run ? cohort_copy_text(command->settings.run) : default_run_path(config);
  return COHORT_DONE;
}

cohort_status cohort_command_close(cohort_command_context *command, cohort_status status, cohort_error *error) {
  /* Said before the ranks part: at the first that ends with an error the launcher ends all, the speaker too. */
  if (status != COHORT_DONE && error->text[0]) cohort_log_error(&command->log, error);
  if (command->comm.size > 0) error->text[0] = '\0';
  if (command->log.file) (void)fclose(command->log.file);
  cohort_settings_release(&command->settings);
  cohort_document_destroy(command->document);
  free(command->run_path);
  cohort_topology_destroy(command->topology);
  cohort_world_close(&command->comm);
  return status;
}

/* The checkpoint that RUN/checkpoints/latest names; *weights stays NULL when there is none. */
static cohort_status find_latest(const char *run, char **weights, cohort_error *error) {
  char *latest = cohort_format_text("%s/checkpoints/latest", run), *name = NULL;
  size_t length = 0;
  const cohort_status status =
      cohort_file_exists(latest) ? cohort_file_read(latest, &name, &length, error) : COHORT_DONE;
  free(latest);
  if (!name) return status;
  name[strcspn(name, "\r\n")] = '\0';
  *weights = cohort_format_text("%s/checkpoints/%s", run, name);
  free(name);
  return status;
}

static bool is_directory(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

cohort_status cohort_command_weights(const char *path, char **weights, cohort_error *error) {
  *weights = NULL;
  if (!cohort_file_exists(path))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: there is no such run or checkpoint", path);
  if (!is_directory(path)) {
    *weights = cohort_copy_text(path);
    return COHORT_DONE;
  }
  *weights = cohort_format_text("%s/final.h5", path);
  if (cohort_file_exists(*weights)) return COHORT_DONE;
  free(*weights);
  *weights = NULL;
  COHORT_TRY(find_latest(path, weights, error));
  return *weights
             ? COHORT_DONE
             : cohort_fail(error, COHORT_BAD_DATA, "%s: neither final.h5 nor a checkpoint; train the run first", path);
}

/* "run/checkpoints/step.h5" -> "run/checkpoints" */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? cohort_format_text("%.*s", (int)(slash - path), path) : cohort_copy_text(".");
}

/* The config.yaml of the run that a checkpoint belongs to, else the file, which holds it too. */
static char *config_of_file(const char *path) {
  char *folder = folder_of(path), *config = cohort_format_text("%s/config.yaml", folder);
  if (!cohort_file_exists(config)) {
    free(config);
    config = cohort_format_text("%s/../config.yaml", folder);
  }
  free(folder);
  if (cohort_file_exists(config)) return config;
  free(config);
  return cohort_copy_text(path);
}

cohort_status cohort_command_run_files(const char *path, char **config, char **weights, cohort_error *error) {
  COHORT_TRY(cohort_command_weights(path, weights, error));
  *config = is_directory(path) ? cohort_format_text("%s/config.yaml", path) : config_of_file(path);
  if (cohort_file_exists(*config)) return COHORT_DONE;
  free(*config);
  free(*weights);
  *config = *weights = NULL;
  return cohort_fail(error, COHORT_BAD_DATA, "%s: this run has no config.yaml; give its checkpoint's file", path);
}
