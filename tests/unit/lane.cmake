storaged_test(NAME test_lane SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_lane.c LINK lane)
