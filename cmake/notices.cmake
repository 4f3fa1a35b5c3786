# install_notices(FILE...), install_notice_as(FILE NAME): notices of what is linked in, with each part of an installation that holds it.
function(install_notices)
  foreach(component runtime library development)
    install(FILES ${ARGV} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tallymill COMPONENT ${component})
  endforeach()
endfunction()

function(install_notice_as file name)
  foreach(component runtime library development)
    install(FILES ${file} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tallymill RENAME ${name} COMPONENT ${component})
  endforeach()
endfunction()
