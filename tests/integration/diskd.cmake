# diskd by itself, under the real supervisor, on real disks.
if(TARGET diskd)
  foreach(part states events prepare)
    storaged_integration_test(NAME test_disk_${part}
      SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_disk_${part}.c ${CMAKE_CURRENT_LIST_DIR}/disknode.c)
  endforeach()
endif()
