storaged_test(NAME test_channel SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_channel.c LINK worker_channel)
