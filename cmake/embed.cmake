# embed_text(TARGET SYMBOL FILE): makes `const char SYMBOL[]` (NUL-terminated) and `const size_t SYMBOL_length` in TARGET from a file.
# Rebuilt when the file changes. The bytes go through a generated C file, which every compiler takes, rather than .incbin.
function(embed_text target symbol file)
  get_filename_component(input ${file} ABSOLUTE)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
  add_custom_command(OUTPUT ${output} DEPENDS ${input} ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake
    COMMAND ${CMAKE_COMMAND} -DINPUT=${input} -DOUTPUT=${output} -DSYMBOL=${symbol} -P ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()

# embed_packed(TARGET SYMBOL FILE): the same, and beside it SYMBOL_gz, packed with gzip: for what browsers ask for. The same bytes give the same archive (-n).
function(embed_packed target symbol file)
  get_filename_component(input ${file} ABSOLUTE)
  set(packed ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.gz)
  add_custom_command(OUTPUT ${packed} DEPENDS ${input} COMMAND gzip -9nc ${input} > ${packed} VERBATIM)
  embed_text(${target} ${symbol} ${input})
  embed_text(${target} ${symbol}_gz ${packed})
endfunction()
