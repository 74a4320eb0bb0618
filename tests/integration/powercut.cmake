# Backing files cloned at random moments, and the clones opened by a fresh node.
storaged_integration_test(NAME test_powercut
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_powercut.c ${CMAKE_CURRENT_LIST_DIR}/powerhost.c
    ${CMAKE_CURRENT_LIST_DIR}/powerload.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c
  LINK poold_volume)
storaged_integration_test(NAME test_powercut_disks
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_powercut_disks.c ${CMAKE_CURRENT_LIST_DIR}/powerhost.c
    ${CMAKE_CURRENT_LIST_DIR}/disknode.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c)
