# libFuzzer under ASan and UBSan: `make fuzz-directives FUZZ_SECONDS=180`.

FUZZ_SECONDS ?= 30
FUZZ_CC ?= $(firstword $(shell command -v clang clang-14) clang)
FUZZ_FLAGS := -std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all -Wall -Wextra -Werror -Inative
FUZZ_DIRECTIVES := native/fuzz/fuzz_directives.c native/directives.c

.PHONY: fuzz-directives

build/fuzz_directives: $(FUZZ_DIRECTIVES) $(wildcard native/directive*.h) | build/.packages-test
	@mkdir -p build
	$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $(FUZZ_DIRECTIVES)

# New inputs go to build/, the seeds of the repository stay as they are.
fuzz-directives: build/fuzz_directives
	@mkdir -p build/corpus-directives
	build/fuzz_directives -max_total_time=$(FUZZ_SECONDS) -timeout=2 -max_len=20000 -print_final_stats=1 \
		-dict=native/fuzz/directives.dict -artifact_prefix=build/ \
		build/corpus-directives native/fuzz/corpus/directives
