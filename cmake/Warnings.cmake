# storaged_warnings: the warnings that all of our own code is built with. Generated code does not link to it.
add_library(storaged_warnings INTERFACE)
target_compile_options(storaged_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Werror
  # Two that gcc guesses at when it optimises: outputs are written on success alone, which it cannot see across files, and
  # texts for people are cut on purpose where they do not fit.
  -Wno-maybe-uninitialized -Wno-format-truncation
  # Clang, which builds the fuzz tests, knows neither, and warns by -Wformat and -Wconversion of what gcc does not.
  $<$<C_COMPILER_ID:Clang>:-Wno-unknown-warning-option -Wno-format-nonliteral -Wno-sign-conversion>)
add_compile_definitions(_GNU_SOURCE)
# Fortify needs an optimised build.
add_compile_options(-fstack-protector-strong $<$<CONFIG:RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
add_link_options(-Wl,-z,relro,-z,now)
