/* The versions of the libraries that run, for the record of a run. */
#ifndef COHORT_IO_LIBRARIES_H
#define COHORT_IO_LIBRARIES_H

/* "HDF5 1.10.8, libyaml 0.2.5, ...", owned by the caller. */
char *cohort_io_libraries(void);

#endif
