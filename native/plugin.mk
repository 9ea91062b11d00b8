# The two Slurm plugins, for the Slurm whose headers are found: `make plugin`.

PLUGIN_BUILD ?= build
SLURM_INCLUDE ?= $(or $(shell pkg-config --variable=includedir slurm 2>/dev/null),/usr/include)
SLURM_CFLAGS ?= -I$(SLURM_INCLUDE)
PYTHON_CFLAGS = $(shell $(BIN)/python -c 'import sysconfig; print("-I" + sysconfig.get_path("include"))')

PLUGIN_OPTIMIZE ?= -O2
PLUGIN_CFLAGS = -std=gnu11 $(PLUGIN_OPTIMIZE) -g -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections \
	-fno-math-errno -ffp-contract=off -D_GNU_SOURCE -Wall -Wextra -Werror -Inative $(SLURM_CFLAGS)
# The kernel's flags: see the head of score.pyx. -O3 makes more code, and no faster: a decision finds the caches empty.
# The warnings are Cython's own style.
# Never with EXTRA_CFLAGS: a sanitizer would keep the module's Python code alive.
KERNEL_CFLAGS = $(PLUGIN_CFLAGS) -ftree-vectorize -fvect-cost-model=dynamic --param vect-epilogues-nomask=0 \
	-ffinite-math-only -fno-signed-zeros -fno-trapping-math -Wno-unused-function \
	-Wno-unused-variable -Wno-unused-parameter $(PYTHON_CFLAGS)
PLUGIN_LDFLAGS = -shared -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--build-id $(EXTRA_LDFLAGS)

PLUGIN_OBJECTS = $(addprefix $(PLUGIN_BUILD)/plugin/,job_submit_hetslurm.o plugin_cloud.o plugin_decide.o plugin_dummy.o plugin_message.o plugin_nodes.o plugin_record.o \
	plugin_request.o plugin_rewrite.o plugin_settings.o plugin_stats.o plugin_text.o plugin_workspace.o directives.o \
	constraint.o resolve.o snapshot_reader.o snapshot_check.o placements.o score_kernel.o)
SPANK_OBJECTS = $(addprefix $(PLUGIN_BUILD)/plugin/,spank_hetslurm.o spank_environment.o spank_landing.o directives.o)

plugin: $(PLUGIN_BUILD)/job_submit_hetslurm.so $(PLUGIN_BUILD)/spank_hetslurm.so ## the Slurm plugins, into build/

# Objects of another Slurm's headers must not linger.
$(PLUGIN_BUILD)/plugin/.slurm: FORCE
	@mkdir -p $(PLUGIN_BUILD)/plugin
	@{ cat $(SLURM_INCLUDE)/slurm/slurm_version.h; echo '$(SLURM_CFLAGS) $(EXTRA_CFLAGS) $(EXTRA_LDFLAGS) $(CC)'; } \
		| cmp -s - $@ || { cat $(SLURM_INCLUDE)/slurm/slurm_version.h; \
		echo '$(SLURM_CFLAGS) $(EXTRA_CFLAGS) $(EXTRA_LDFLAGS) $(CC)'; } > $@

.PHONY: FORCE

$(PLUGIN_BUILD)/plugin/score_kernel.c: native/score.pyx $(wildcard native/score*.pxi native/score*.h) | build/.venv
	@mkdir -p $(PLUGIN_BUILD)/plugin
	$(CYTHON) -3 -I native $< -o $@

$(PLUGIN_BUILD)/plugin/score_kernel.o: $(PLUGIN_BUILD)/plugin/score_kernel.c $(wildcard native/*.h) $(PLUGIN_BUILD)/plugin/.slurm
	$(CC) $(KERNEL_CFLAGS) -c $< -o $@

$(PLUGIN_BUILD)/plugin/%.o: native/%.c $(wildcard native/*.h) $(PLUGIN_BUILD)/plugin/.slurm | build/.packages-run
	$(CC) $(PLUGIN_CFLAGS) $(EXTRA_CFLAGS) -c $< -o $@

$(PLUGIN_BUILD)/job_submit_hetslurm.so: $(PLUGIN_OBJECTS) native/plugin.map native/plugin.ld
	$(CC) $(PLUGIN_LDFLAGS) -Wl,--version-script=native/plugin.map -Wl,-T,native/plugin.ld \
		-o $@.new $(PLUGIN_OBJECTS) -lm
	@mv $@.new $@

$(PLUGIN_BUILD)/spank_hetslurm.so: $(SPANK_OBJECTS) native/spank.map
	$(CC) $(PLUGIN_LDFLAGS) -Wl,--version-script=native/spank.map -o $@.new $(SPANK_OBJECTS)
	@mv $@.new $@
