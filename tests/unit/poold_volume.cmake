# What of a pool's disk side needs no disk.
storaged_test(NAME test_poold_capacity SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_poold_capacity.c LINK poold_volume)
storaged_test(NAME test_poold_record SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_poold_record.c
  LINK poold_volume poold_disk_proto)
