/* Without a launcher the world is one rank and MPI is not started; what a launcher leaves in the environment decides.
 */
#include <mpi.h>
#include <stdlib.h>

#include "check.h"
#include "mpi/world.h"

static void forget_launcher(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK",           "PMI_RANK", "PMI_SIZE",
                                      "SLURM_PROCID",         "SLURM_STEP_NUM_TASKS"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
}

static bool mpi_is_started(void) {
  int started = -1;
  MPI_Initialized(&started);
  return started != 0;
}

static void check_alone(void) {
  cohort_comm comm;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_world_open(&comm, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(comm.rank, 0);
  CU_ASSERT_EQUAL(comm.size, 1);
  CU_ASSERT_FALSE(mpi_is_started());
  cohort_comm_barrier(&comm);
  CU_ASSERT_EQUAL(cohort_comm_agree(&comm, -5), -5);
  int local_rank = -1, local_size = -1;
  cohort_world_local(&comm, &local_rank, &local_size);
  CU_ASSERT_EQUAL(local_rank, 0);
  CU_ASSERT_EQUAL(local_size, 1);
  char *const hosts = cohort_world_hosts(&comm);
  CU_ASSERT_PTR_NOT_NULL_FATAL(hosts);
  CU_ASSERT_TRUE(hosts[0] != '\0');
  free(hosts);
  cohort_world_close(&comm);
  CU_ASSERT_FALSE(mpi_is_started());
}

static void without_launcher(void) {
  forget_launcher();
  check_alone();
}

static void one_rank_of_mpirun(void) {
  forget_launcher();
  setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  check_alone();
  forget_launcher();
}

/* A batch script runs as task 0 of an allocation of many tasks, yet is no step of srun. */
static void batch_script_of_slurm(void) {
  forget_launcher();
  setenv("SLURM_PROCID", "0", 1);
  setenv("SLURM_NTASKS", "4", 1);
  check_alone();
  setenv("SLURM_STEP_NUM_TASKS", "1", 1);
  check_alone();
  unsetenv("SLURM_NTASKS");
  forget_launcher();
}

int main(void) {
  static const check checks[] = {{"without launcher", without_launcher},
                                 {"one rank of mpirun", one_rank_of_mpirun},
                                 {"batch script of Slurm", batch_script_of_slurm}};
  return check_run("alone", checks, sizeof checks / sizeof *checks);
}
