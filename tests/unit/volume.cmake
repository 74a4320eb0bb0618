# The pure part of a pool's disk side.
storaged_test(NAME test_volume_codec SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_volume_codec.c LINK poold_volume)
