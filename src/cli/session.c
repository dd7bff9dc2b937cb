#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/verbs.h"
#include "io/config.h"
#include "io/run_directory.h"
#include "mpi/world.h"

/* "configs/gpt_kjv.yaml" -> "runs/gpt_kjv" */
static char *default_run_path(const char *config) {
  const char *name = strrchr(config, '/') ? strrchr(config, '/') + 1 : config;
  const char *dot = strrchr(name, '.');
  return cohort_format_text("runs/%.*s", (int)(dot ? dot - name : (long)strlen(name)), name);
}

static cohort_status read_settings(const char *config, int overrides, char *const *override,
                                   cohort_command_session *session, cohort_error *error) {
  COHORT_TRY(cohort_config_read(config, overrides, override, &session->document, error));
  cohort_faults faults = {0};
  cohort_settings_read(session->document, &session->settings, &faults);
  session->settings.program = cohort_command_provenance();
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  return status;
}

cohort_status cohort_command_open(const char *config, int overrides, char *const *override,
                                  cohort_command_session *session, cohort_error *error) {
  memset(session, 0, sizeof *session);
  COHORT_TRY(cohort_world_open(&session->comm, error));
  session->log.speaks = session->comm.rank == 0;
  COHORT_TRY(
      cohort_comm_agree_error(&session->comm, read_settings(config, overrides, override, session, error), error));
  cohort_world_watch(&session->comm, session->settings.watchdog, NULL);
  session->topology =
      cohort_topology_create(&session->comm, session->settings.threads, session->settings.bind == COHORT_BIND_AUTO);
  session->threads = cohort_topology_threads(session->topology);
  session->run_path = session->settings.run ? cohort_copy_text(session->settings.run) : default_run_path(config);
  return COHORT_DONE;
}

cohort_status cohort_command_close(cohort_command_session *session, cohort_status status, cohort_error *error) {
  /* Said before the ranks part: at the first that ends with an error the launcher ends all, the speaker too. */
  if (status != COHORT_DONE && error->text[0]) cohort_log_error(&session->log, error);
  if (session->comm.size > 0) error->text[0] = '\0';
  if (session->log.file) (void)fclose(session->log.file);
  cohort_settings_release(&session->settings);
  cohort_document_destroy(session->document);
  free(session->run_path);
  cohort_topology_destroy(session->topology);
  cohort_world_close(&session->comm);
  return status;
}

cohort_status cohort_command_run_files(const char *run, char **config, char **weights, cohort_error *error) {
  char *own_config = cohort_format_text("%s/config.yaml", run), *own_weights = cohort_format_text("%s/final.h5", run);
  cohort_status status = COHORT_DONE;
  if (!cohort_file_exists(own_weights)) {
    char *latest = cohort_format_text("%s/checkpoints/latest", run), *name = NULL;
    size_t length = 0;
    free(own_weights);
    own_weights = NULL;
    if (cohort_file_exists(latest)) status = cohort_file_read(latest, &name, &length, error);
    if (name) {
      name[strcspn(name, "\r\n")] = '\0';
      own_weights = cohort_format_text("%s/checkpoints/%s", run, name);
    }
    free(latest);
    free(name);
  }
  if (!own_weights || !cohort_file_exists(own_config)) {
    free(own_config);
    free(own_weights);
    COHORT_TRY(status);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: no run with config.yaml and a checkpoint; train it first", run);
  }
  *config = own_config;
  *weights = own_weights;
  return COHORT_DONE;
}
