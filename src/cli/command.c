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
#include "train/run/run_files.h"

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

/* The same of a reward's command, wherever in the task it stands. */
static void check_rewards(const cohort_document *document, cohort_faults *faults) {
  for (size_t i = 0; document && i < document->count; i++) {
    const cohort_document *child = document->children[i];
    const bool given = child->file && strcmp(child->file, COHORT_COMMAND_LINE) == 0;
    if (document->kind == COHORT_MAP && strcmp(document->names[i], "command") == 0 && !given)
      cohort_faults_add(faults, child,
                        "task: the run's config asks for a command that rewards, and what came with a run is not run; "
                        "to run it, give task=... on the command line");
    check_rewards(child, faults);
  }
}

static cohort_status read_settings(const char *config, cohort_config_origin origin, int overrides,
                                   char *const *override, cohort_command_context *command, cohort_error *error) {
  COHORT_TRY(cohort_run_files_config(config, overrides, override, &command->document, error));
  cohort_faults faults = {0};
  cohort_settings_read(command->document, &command->settings, &faults);
  if (origin == COHORT_CONFIG_OF_RUN) check_commands(command->document, &faults);
  if (origin == COHORT_CONFIG_OF_RUN) check_rewards(cohort_document_get(command->document, "task"), &faults);
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
