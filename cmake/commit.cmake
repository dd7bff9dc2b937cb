# The commit that a build is made from, for `cohort --version` and what a run writes. It is looked up at every build, not
# when the build was configured, and the header changes only when the answer does, so nothing is linked again for nothing:
#   cmake -DSOURCE=FOLDER -DHEADER=FILE -P commit.cmake
# "64708ca"; "64708ca-dirty" when a tracked file differs from it or the source folders hold a file that git does not know;
# "unknown" outside a repository of its own, such as a source tarball inside somebody else's.
set(commit "unknown")
# A status is read without taking git's lock, so a build never disturbs a commit that is being made.
set(git ${CMAKE_COMMAND} -E env GIT_OPTIONAL_LOCKS=0 git -C ${SOURCE})
function(ask_git out)
  execute_process(COMMAND ${git} ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE status ERROR_QUIET
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT status EQUAL 0)
    set(text "unknown")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

ask_git(top rev-parse --show-toplevel)
file(REAL_PATH ${SOURCE} source)
if(top STREQUAL source)
  ask_git(commit rev-parse --short=7 HEAD)
  ask_git(changed status --porcelain --untracked-files=no)
  ask_git(unknown_files ls-files --others --exclude-standard -- src mpi io cmake CMakeLists.txt)
  if(NOT commit STREQUAL "unknown" AND (changed OR unknown_files))
    string(APPEND commit "-dirty")
  endif()
endif()

set(text "#define COHORT_COMMIT \"${commit}\"\n")
set(before "")
if(EXISTS ${HEADER})
  file(READ ${HEADER} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${HEADER} "${text}")
endif()
