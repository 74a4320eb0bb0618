storaged_test(NAME test_config SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_config.c LINK config)
storaged_test(NAME test_quantity SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_quantity.c LINK base)
