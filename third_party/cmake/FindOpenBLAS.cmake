# Finds OpenBLAS: target OpenBLAS::OpenBLAS. The distributions' own packages differ in what they
# set, and Debian's names one of its several builds; header and library are looked for as cgo's
# compiler would find them, and the sources check that the header is OpenBLAS's.
find_path(OpenBLAS_INCLUDE_DIR NAMES cblas-openblas.h openblas/cblas.h cblas.h)
find_library(OpenBLAS_LIBRARY NAMES openblas)
mark_as_advanced(OpenBLAS_INCLUDE_DIR OpenBLAS_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  OpenBLAS
  REQUIRED_VARS OpenBLAS_LIBRARY OpenBLAS_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libopenblas-dev (Debian, Ubuntu) or openblas-devel (Fedora)")

if(OpenBLAS_FOUND AND NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS UNKNOWN IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES
    IMPORTED_LOCATION "${OpenBLAS_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${OpenBLAS_INCLUDE_DIR}")
endif()
