storaged_test(NAME test_storage
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_storage.c ${CMAKE_CURRENT_LIST_DIR}/storage_fixture.c
  LINK storage event rpc PkgConfig::UV)
storaged_test(NAME test_storagectl SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_storagectl.c LINK storagectl_parts)
storaged_test(NAME test_namespace_verbs
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_namespace_verbs.c ${CMAKE_CURRENT_LIST_DIR}/zdbd_double.c
  LINK storagectl_parts rpc PkgConfig::UV)
