storaged_test(NAME test_event_pure SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_event_pure.c LINK event)
storaged_test(NAME test_event SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_event.c LINK event)
