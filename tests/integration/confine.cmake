storaged_test(NAME test_confine SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_confine.c LINK worker_confine worker_channel)
