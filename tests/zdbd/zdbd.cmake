# What zdbd is made of, on real 0-db processes.
if(NOT TARGET zdbd_parts)
  return()
endif()
set(here ${CMAKE_CURRENT_LIST_DIR})
storaged_test(NAME test_zdbd_record SOURCES ${here}/test_record.c LINK zdbd_parts)
storaged_test(NAME test_zdbd_link SOURCES ${here}/test_link.c ${here}/linkbed.c LINK zdbd_parts zdb_driver)
