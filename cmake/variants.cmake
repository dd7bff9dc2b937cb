# Numeric code is written over the type `real` and compiled once per variant: float for each instruction set, double for
# checks. A file is numeric when it includes base/real.h, itself or through a header named *_real.h of its folder.
set(COHORT_VARIANTS f32_sse2 f32_avx2 f32_avx512 f64_sse2)
set(COHORT_FLAGS_f32_sse2 -DCOHORT_REAL=float)
set(COHORT_FLAGS_f32_avx2 -DCOHORT_REAL=float -mavx2 -mfma)
set(COHORT_FLAGS_f32_avx512 -DCOHORT_REAL=float -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl
  -mprefer-vector-width=512)
set(COHORT_FLAGS_f64_sse2 -DCOHORT_REAL=double)

# Sorts the sources given into numeric ones (out_numeric) and the others (out_plain).
function(cohort_split_numeric out_numeric out_plain)
  set(numeric)
  set(plain)
  foreach(source ${ARGN})
    file(STRINGS ${source} found REGEX "^#include \"(base/real\\.h|.*_real\\.h)\"")
    if(found)
      list(APPEND numeric ${source})
    else()
      list(APPEND plain ${source})
    endif()
  endforeach()
  set(${out_numeric} ${numeric} PARENT_SCOPE)
  set(${out_plain} ${plain} PARENT_SCOPE)
endfunction()

# Adds the objects of the numeric sources, once per variant, to the library `target`.
function(cohort_add_variants target)
  foreach(variant ${COHORT_VARIANTS})
    add_library(${target}_${variant} OBJECT ${ARGN})
    target_compile_options(${target}_${variant} PRIVATE ${COHORT_FLAGS_${variant}} -DCOHORT_VARIANT=${variant}
      -ffp-contract=fast -fno-trapping-math -Wno-psabi)
    target_link_libraries(${target}_${variant} PRIVATE cohort_base OpenMP::OpenMP_C)
    if(TARGET PkgConfig::OPENBLAS)
      target_link_libraries(${target}_${variant} PRIVATE PkgConfig::OPENBLAS)
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${variant}>)
  endforeach()
endfunction()

function(cohort_variants name path)
  cmake_parse_arguments(FOLDER "" "" "LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${path}/*.c)
  cohort_split_numeric(numeric plain ${sources})
  add_library(cohort_${name} STATIC ${plain})
  target_link_libraries(cohort_${name} PUBLIC ${FOLDER_LIBRARIES})
  if(numeric)
    cohort_add_variants(cohort_${name} ${numeric})
  endif()
endfunction()
