# Checks of the tree itself.
add_test(NAME format COMMAND ${PROJECT_SOURCE_DIR}/scripts/format --check)
add_test(NAME lint COMMAND ${PROJECT_SOURCE_DIR}/scripts/lint ${PROJECT_BINARY_DIR})
set_tests_properties(format lint PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 LABELS check)
