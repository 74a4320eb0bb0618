# The pure parts of poold's loop side.
foreach(part ledger placement assembly index name)
  storaged_test(NAME test_poold_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_poold_${part}.c LINK poold_logic)
endforeach()
