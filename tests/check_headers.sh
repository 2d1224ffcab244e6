#!/bin/sh
# Compiles every header alone, as C17 and as C++17: each includes what it uses, and bindings and
# C++ programs can use it.

cd "$(dirname "$0")/.." || exit
bad=0
for header in $(find base shim market envs replay nn rl report -name '*.h' ! -name '*_internal.h' | sort)
do
    for language in 'c -std=c17' 'c++ -std=c++17'; do
        # shellcheck disable=SC2086
        printf '#include "%s"\ntypedef int alone;\n' "$header" | # C forbids an empty file
            ${CC:-cc} -I. -Wall -Wextra -Werror -pedantic -fsyntax-only -x $language - || {
            echo "$header: does not compile alone as $language"
            bad=1
        }
    done
done
exit $bad
