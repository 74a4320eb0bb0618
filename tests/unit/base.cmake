storaged_test(NAME test_base SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_base.c LINK base)
storaged_test(NAME test_keep SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_keep.c LINK base)
