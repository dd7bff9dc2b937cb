# tests/mpi/test_NAME.c is one program that mpirun starts on several numbers of ranks.
set(COHORT_PYTHON /usr/bin/python3 CACHE STRING "a Python with numpy and h5py, for checks from outside; without them these are skipped")
set(COHORT_MPIRUN ${MPIEXEC_EXECUTABLE} --oversubscribe --mca mpi_yield_when_idle 1)
set(COHORT_MPIRUN_ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")

function(cohort_mpi_test name ranks command)
  add_test(NAME ${name}_${ranks} COMMAND sh -c "${command}")
  set_tests_properties(${name}_${ranks} PROPERTIES LABELS mpi TIMEOUT 120 PROCESSORS 2 ENVIRONMENT "${COHORT_MPIRUN_ENVIRONMENT}")
endfunction()

string(REPLACE ";" " " mpirun_text "${COHORT_MPIRUN}")
foreach(program world checkpoint transfers topology)
  add_executable(test_mpi_${program}_ranks mpi/test_${program}.c)
  target_link_libraries(test_mpi_${program}_ranks PRIVATE cohort_io)
endforeach()
foreach(ranks 2 3 4 8)
  cohort_mpi_test(test_mpi_world ${ranks} "${mpirun_text} -n ${ranks} $<TARGET_FILE:test_mpi_world_ranks>")
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/test_mpi_checkpoint_${ranks})
  cohort_mpi_test(test_mpi_checkpoint ${ranks} "rm -rf ${directory} && mkdir ${directory} && \
${mpirun_text} -n ${ranks} $<TARGET_FILE:test_mpi_checkpoint_ranks> ${directory} && rm -r ${directory}")
endforeach()
foreach(ranks 1 2 3 4)
  cohort_mpi_test(test_mpi_transfers ${ranks} "${mpirun_text} -n ${ranks} $<TARGET_FILE:test_mpi_transfers_ranks>")
endforeach()
add_executable(test_mpi_runs_ranks mpi/test_runs.c)
target_link_libraries(test_mpi_runs_ranks PRIVATE cohort_train)
foreach(ranks 1 4)
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/test_mpi_runs_${ranks})
  cohort_mpi_test(test_mpi_runs ${ranks} "${CMAKE_CURRENT_SOURCE_DIR}/mpi/runs.sh $<TARGET_FILE:cohort> \
$<TARGET_FILE:test_mpi_runs_ranks> ${directory} ${mpirun_text} -n ${ranks}")
  set_tests_properties(test_mpi_runs_${ranks} PROPERTIES SKIP_RETURN_CODE 77)
endforeach()
# Without /proc the ranks share no memory, say so and send messages (Open MPI's own way through /proc hangs then).
cohort_mpi_test(test_mpi_transfers_blind 3 "${mpirun_text} --mca btl_vader_single_copy_mechanism none -n 3 $<TARGET_FILE:test_mpi_transfers_ranks> blind")
set_tests_properties(test_mpi_transfers_blind_3 PROPERTIES SKIP_RETURN_CODE 77)
# A stopped rank is noticed however the others wait for it.
foreach(how wait await)
  cohort_mpi_test(test_mpi_transfers_stopped_${how} 3
    "${mpirun_text} -n 3 $<TARGET_FILE:test_mpi_transfers_ranks> ${how} 2>errors_${how}; test $? = 6 && \
grep 'in gather; no sign of life from rank 1 ' errors_${how}")
endforeach()
# What the map says of ranks that may run everywhere, and of ranks that mpirun has put on one core.
string(REPLACE "--oversubscribe" "--bind-to none" mpirun_free "${mpirun_text}")
string(REPLACE "--oversubscribe" "--bind-to core" mpirun_core "${mpirun_text}")
set(two_cores "test $(nproc --all) -ge 2 || exit 77")
cohort_mpi_test(test_mpi_topology_free 2 "${two_cores}; ${mpirun_free} -n 2 $<TARGET_FILE:test_mpi_topology_ranks> 0 \
2>map_free && grep 'may run everywhere' map_free && ! grep warning map_free")
cohort_mpi_test(test_mpi_topology_core 2 "${two_cores}; ${mpirun_core} -n 2 $<TARGET_FILE:test_mpi_topology_ranks> 3 \
2>map_core && grep 'rank 0 on .* has 3 threads but was given' map_core")
set_tests_properties(test_mpi_topology_free_2 test_mpi_topology_core_2 PROPERTIES SKIP_RETURN_CODE 77)
# The status of an abort is that of the job.
cohort_mpi_test(test_mpi_abort 3 "${mpirun_text} -n 3 $<TARGET_FILE:test_mpi_world_ranks> abort 75; test $? = 75")

if(TARGET test_io_checkpoint)
  add_test(NAME test_io_checkpoint_h5py COMMAND ${COHORT_PYTHON}
    ${CMAKE_CURRENT_SOURCE_DIR}/unit/io/check_checkpoint_h5py.py $<TARGET_FILE:test_io_checkpoint>)
  set_tests_properties(test_io_checkpoint_h5py PROPERTIES LABELS quick TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
# The rules of who may include what.
add_test(NAME house COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/check.sh)
add_test(NAME first_steps COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/first_steps.sh)
set_tests_properties(house first_steps PROPERTIES LABELS "quick;release" TIMEOUT 300)

add_test(NAME house_commit COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/commit.sh)
set_tests_properties(house_commit PROPERTIES LABELS "quick;release" TIMEOUT 300)

add_test(NAME house_install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/install.sh ${CMAKE_BINARY_DIR})
set_tests_properties(house_install PROPERTIES LABELS "quick;release" TIMEOUT 300)

# From outside: every method that can be probed, and what the probe's values must be.
foreach(check catalogue probe_values)
  add_test(NAME check_${check} COMMAND ${COHORT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/contract/check_${check}.py
    $<TARGET_FILE:cohort>)
  # Thousands of starts of the program: not under sanitizers, where golden_files probes every method.
  set_tests_properties(check_${check} PROPERTIES LABELS "quick;release" TIMEOUT 600 SKIP_RETURN_CODE 77 PROCESSORS 2)
endforeach()
# Other people's numbers: every file of tests/method/golden/probe.
add_test(NAME golden_files COMMAND ${COHORT_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/acceptance/golden_files $<TARGET_FILE:cohort>)
set_tests_properties(golden_files PROPERTIES LABELS quick TIMEOUT 300 SKIP_RETURN_CODE 77)

# tests/fuzz/fuzz_NAME.c [ITERATIONS [SEED]]: a reader under mutated files; here for a moment, by hand for hours.
file(GLOB fuzzers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(fuzzer ${fuzzers})
  get_filename_component(name ${fuzzer} NAME_WE)
  add_executable(${name} ${fuzzer})
  target_link_libraries(${name} PRIVATE cohort_io)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  add_test(NAME ${name} COMMAND ${name} 3000)
  set_tests_properties(${name} PROPERTIES LABELS quick TIMEOUT 300)
endforeach()

# The benchmark's optimizer alone (tests/bench/compare runs it; no test).
add_executable(bench_update bench/update.c)
target_link_libraries(bench_update PRIVATE cohort_train)

# What the executor costs a node (no test: it is a time).
add_executable(bench_overhead bench/overhead.c)
target_link_libraries(bench_overhead PRIVATE cohort_graph)
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/unit/kernel/test_product_tiles.c PROPERTIES COMPILE_OPTIONS
  "-mavx2;-mfma;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16")

# Sums over the ranks of a node against MPI's (no test: it is a time).
add_executable(bench_reduction bench/reduction.c)
target_link_libraries(bench_reduction PRIVATE cohort_train)

# What secure aggregation costs a client and a byte (no test: it is a time).
add_executable(bench_secure bench/secure.c)
target_link_libraries(bench_secure PRIVATE cohort_train)
