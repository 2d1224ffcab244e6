#!/bin/sh
# Checks that every C and C++ file looks as .clang-format says; --fix makes it so. Versions of
# clang-format differ in details: the tree is formatted with the one below.

cd "$(dirname "$0")/.." || exit
version=14
clang_format=$(command -v "clang-format-$version" || command -v clang-format)
if ! "$clang_format" --version | grep -q "version $version\."; then
    echo "clang-format $version is needed; $clang_format is: $("$clang_format" --version)"
    exit 1
fi

bad=0
for file in $(find . \( -path './.?*' -o -path './build*' \) -prune -o \
    \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' \) -print | sort); do
    if [ "${1:-}" = --fix ]; then
        "$clang_format" -i "$file"
    elif ! "$clang_format" "$file" | cmp -s - "$file"; then
        echo "$file: not formatted (make format)"
        bad=1
    fi
done
exit $bad
