# Tests of the tree of sources itself.
add_test(NAME planted-bugs COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/planted_bugs.py)
add_test(NAME names-exist COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/names_exist.py)
add_test(NAME one-place COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/one_place.py)
add_test(NAME must-check COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/must_check.py)
add_test(NAME rdkafka-least COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/rdkafka_least.py)
