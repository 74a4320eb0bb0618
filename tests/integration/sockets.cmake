# Bad manners at every socket, and as much of everything as a node must bear.
storaged_integration_test(NAME test_sockets
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_sockets.c ${CMAKE_CURRENT_LIST_DIR}/attacks.c
          ${CMAKE_CURRENT_LIST_DIR}/raw.c ${CMAKE_CURRENT_LIST_DIR}/gauge.c ${CMAKE_CURRENT_LIST_DIR}/slowfile.c
  LINK rpc)
storaged_integration_test(NAME test_limits
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_limits.c ${CMAKE_CURRENT_LIST_DIR}/subscribers.c
          ${CMAKE_CURRENT_LIST_DIR}/gauge.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c
  LINK rpc event PkgConfig::UV)
