# The commands of a checkout. scripts/bootstrap.sh finds or installs what is needed, meson and ninja
# build in build/, BENCH=name picks one benchmark.

.PHONY: build ready demo test test-long bench format clean

build: ready
	@ninja -C build

ready:
	@scripts/bootstrap.sh
	@[ -e build/build.ninja ] || meson setup build

demo: ready
	@ninja -C build gannet
	@scripts/demo.sh

test:
	@scripts/run_tests.sh

# Learning and soak runs, without a time limit.
test-long: build
	@meson test -C build --no-rebuild --suite long --timeout-multiplier 0 --print-errorlogs

bench: build
	@scripts/bench.sh $(BENCH)

format:
	@tests/check_format.sh --fix

clean:
	rm -rf build build-asan build-tsan build-clang
