# Checks of the tree itself, and of what is installed from it.
add_test(NAME format COMMAND ${PROJECT_SOURCE_DIR}/scripts/format --check)
add_test(NAME lint COMMAND ${PROJECT_SOURCE_DIR}/scripts/lint ${PROJECT_BINARY_DIR})
add_test(NAME docs COMMAND ${CMAKE_CURRENT_LIST_DIR}/docs ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
add_test(NAME install COMMAND ${CMAKE_CURRENT_LIST_DIR}/install ${PROJECT_BINARY_DIR})
# What is optimised warns of more, and is what people run.
add_test(NAME demo COMMAND ${PROJECT_SOURCE_DIR}/scripts/demo)
set_tests_properties(format lint docs install demo PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS check)
set_tests_properties(demo PROPERTIES RESOURCE_LOCK disks)
