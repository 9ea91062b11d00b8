# libFuzzer over the snapshot reader: `make fuzz-snapshot FUZZ_SECONDS=20`.

FUZZ_SECONDS ?= 20
FUZZ_SNAPSHOT_SOURCES = native/fuzz/fuzz_snapshot.c native/snapshot_check.c native/snapshot_reader.c native/placements.c

build/fuzz/fuzz_snapshot: $(FUZZ_SNAPSHOT_SOURCES) $(wildcard native/*.h native/fuzz/*.h) | build/.packages-test
	@mkdir -p build/fuzz
	clang -std=gnu11 -O1 -g -Wall -Wextra -Werror -Inative -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $(FUZZ_SNAPSHOT_SOURCES) -lm -o $@

.PHONY: fuzz-snapshot
fuzz-snapshot: build/fuzz/fuzz_snapshot
	@mkdir -p build/fuzz/corpus-snapshot
	build/fuzz/fuzz_snapshot -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/corpus-snapshot native/fuzz/corpus/snapshot
