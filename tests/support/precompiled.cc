// Only there to have the tests' common headers compiled.
#include <gtest/gtest.h>
