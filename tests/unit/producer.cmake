if(TARGET producer_core)
  unit_test(producer-event producer_text.c producer_keys.c producer_event.c producer_golden.c producer_json.c LIBS producer_core PkgConfig::MSGPACK)
  unit_test(producer-generator producer_generator.c LIBS producer_core PkgConfig::MSGPACK)
  unit_test(producer-import producer_columns.c producer_instant.c producer_input.c producer_rejects.c producer_pace.c producer_command.c
            producer_record.c producer_reader.c producer_resume.c
            LIBS producer_core)
  unit_test(producer-spool producer_spool.c producer_spool_damage.c producer_spool_library.c producer_full_disk.c LIBS producer_core)
  unit_test(producer-library producer_ring.c producer_library.c producer_adopter.c producer_forked.c producer_api.c producer_settings_file.c producer_poll.c LIBS producer_core PkgConfig::MSGPACK)
  set_tests_properties(producer-library producer-spool PROPERTIES COST 20) # the longest, begun first
  target_compile_definitions(test-producer-library PRIVATE $<$<BOOL:${TALLYMILL_RDKAFKA_IS_BUNDLED}>:RDKAFKA_IS_BUNDLED>)
  target_link_options(test-producer-library PRIVATE LINKER:--wrap=pipe LINKER:--undefined=__wrap_pipe) # as the library's own link: pipe_cloexec.c
  if(NOT CMAKE_C_FLAGS MATCHES "-fsanitize") # which has a getaddrinfo of its own
    unit_test(producer-fork-safety producer_fork_safety.c LIBS producer_core)
  endif()
  add_executable(test-producer-allocations producer_allocations.c)
  target_link_libraries(test-producer-allocations PRIVATE libtallymill tally_options)
  add_test(NAME producer-allocations COMMAND test-producer-allocations)
  add_test(NAME producer-symbols COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/producer_symbols.sh $<TARGET_FILE:libtallymill> ${CMAKE_BINARY_DIR}/lib/libtallymill.a)
  foreach(script abi abi_notices)
    add_test(NAME producer-${script} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/producer_${script}.sh $<TARGET_FILE:libtallymill>)
  endforeach()
  add_test(NAME golden-bytes COMMAND ${PROJECT_SOURCE_DIR}/schemas/golden/make.py --check)
endif()
