// toml++ as tallygate uses it. Heavy: for a .cc alone, and for every one that reads TOML, since
// inline functions of differently configured copies would be mixed up by the linker.
//
// - In its form without exceptions and wholly from headers: the distribution's shared library has
//   the other form, and asks for it by compile options that are undone here.
// - Without its assertions, whatever NDEBUG says: toml++ 3.3 asserts that a key follows "[" before
//   it looks, so that a file with "[=" would end the process. Behind the assertion stands a proper
//   error. (With NDEBUG some compilers take such assertions for promises, hence its #undef.)
#pragma once
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#undef NDEBUG
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>  // IWYU pragma: export
