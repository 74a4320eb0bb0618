# diskd by itself, under the real supervisor, on real disks.
if(TARGET diskd)
  foreach(part states events prepare hang udev)
    set(sources test_disk_${part}.c disknode.c)
    if(part STREQUAL hang)
      list(APPEND sources slowfile.c)
    endif()
    list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
    storaged_integration_test(NAME test_disk_${part} SOURCES ${sources} LINK PkgConfig::UDEV)
    if(TARGET test_disk_${part})
      add_dependencies(test_disk_${part} diskd storaged)
    endif()
  endforeach()
endif()

# Preloaded into a program that is not ours, so without sanitizers.
if(TARGET test_harness AND TARGET diskd)
  add_library(mkfshalt MODULE ${CMAKE_CURRENT_LIST_DIR}/mkfshalt.c)
  target_compile_options(mkfshalt PRIVATE -fno-sanitize=all)
  target_link_options(mkfshalt PRIVATE -fno-sanitize=all)
  storaged_integration_test(NAME test_disk_steps
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_disk_steps.c ${CMAKE_CURRENT_LIST_DIR}/steps.c
            ${CMAKE_CURRENT_LIST_DIR}/disknode.c)
  target_compile_definitions(test_disk_steps PRIVATE
    MKFSHALT_PATH="$<TARGET_FILE:mkfshalt>" $<$<BOOL:${STORAGED_SEAMS}>:STORAGED_SEAMS>)
  add_dependencies(test_disk_steps diskd storaged mkfshalt)
endif()
