# renewgate: a gate for certificate renewals in front of a Stalwart mail server.
#
#   make              builds build/renewgate
#   make BUILD=asan   builds build/asan/renewgate; debug, tsan and clang likewise
#   make help         lists the rest

BUILD ?= release
OUT := build/$(BUILD)
VERSION := $(shell cat VERSION)

# -- compilers and flags ---------------------------------------------------------------------------

FLAGS_release := -O2 -g -fPIE -fstack-protector-strong -fstack-clash-protection
CPPFLAGS_release := -D_FORTIFY_SOURCE=2
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
FLAGS_debug := -O0 -g3
FLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS_clang := -O2 -g
FLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link \
              -fno-sanitize-recover=all

ifndef FLAGS_$(BUILD)
$(error BUILD is one of release, debug, asan, tsan, clang, fuzz; not "$(BUILD)")
endif
ifneq ($(filter clang fuzz,$(BUILD)),)
CC := clang
endif

# build/deps is where deploy/build-libmicrohttpd.sh puts what Debian 12 lacks.
PKG_CONFIG := PKG_CONFIG_PATH=$(CURDIR)/build/deps/lib/pkgconfig pkg-config
PACKAGES := 'libmicrohttpd >= 1.0.1' libcurl jansson libssl libcrypto hiredis gnutls

WARNINGS := -Wall -Wextra -Wpedantic -Werror
CPPFLAGS += -I. -D_GNU_SOURCE -DRENEWGATE_VERSION='"$(VERSION)"' $(CPPFLAGS_$(BUILD)) \
            $(shell $(PKG_CONFIG) --silence-errors --cflags $(PACKAGES))
CFLAGS := -std=c11 $(WARNINGS) $(FLAGS_$(BUILD))
# What is in build/deps becomes part of the binary, which says so, and is linked again with a new one.
$(OUT)/proxy/base/version.o: $(wildcard build/deps/libmicrohttpd.version)
$(OUT)/proxy/base/version.o: CPPFLAGS += \
    -DRENEWGATE_LIBMICROHTTPD='"$(shell cat build/deps/libmicrohttpd.version 2>/dev/null)"'
LDFLAGS += $(FLAGS_$(BUILD)) $(LDFLAGS_$(BUILD)) -Wl,--as-needed
LDLIBS := $(shell $(PKG_CONFIG) --silence-errors --libs $(PACKAGES)) -lwslay -lm -lpthread

# What one unit test needs beyond that: here, memory that runs out at every call in turn.
UNIT_LDFLAGS_test_refusal := -Wl,--wrap=strcspn
UNIT_LDFLAGS_test_san_set := -Wl,--wrap=malloc,--wrap=realloc
UNIT_LDFLAGS_test_session := -Wl,--wrap=malloc
UNIT_LDFLAGS_test_hold_memory := \
    -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
UNIT_LDFLAGS_test_continuation_memory := $(UNIT_LDFLAGS_test_hold_memory) -Wl,--wrap=free
UNIT_LDFLAGS_test_batch_memory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_hold_steps := -Wl,--wrap=json_object_get,--wrap=json_array_get \
    -Wl,--wrap=json_object_iter_next,--wrap=json_string_value,--wrap=json_equal,--wrap=strcmp
UNIT_LDFLAGS_test_sweep_memory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_audit_memory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_callers := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_explain_memory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_memory := $(UNIT_LDFLAGS_test_hold_memory) -Wl,--wrap=strcmp,--wrap=strncmp
UNIT_LDFLAGS_test_json_text := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_upstream_memory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_many_names := -Wl,--wrap=strlen,--wrap=memmove
UNIT_LDFLAGS_test_frames_memory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_twins := -Wl,--wrap=strcmp,--wrap=realloc
UNIT_LDFLAGS_test_pace := -Wl,--wrap=memmove
UNIT_LDFLAGS_test_order_book := -Wl,--wrap=account_replay_begin,--wrap=memmove
UNIT_LDFLAGS_test_inventory := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_listing := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_lookup_steps := $(UNIT_LDFLAGS_test_hold_memory)
UNIT_LDFLAGS_test_upstream_request := -Wl,--wrap=sendmsg
UNIT_LDFLAGS_test_forwarding := -Wl,--wrap=malloc

# -- what there is to build ------------------------------------------------------------------------

# The folders are the architecture: docs/design.md opens with them.
ROOMS := $(filter %/,$(wildcard policy/ jmap/*/ proxy/ proxy/*/))
objects = $(patsubst %.c,$(OUT)/%.o,$(wildcard $(addsuffix /*.c,$(1))))
MAIN := $(filter %/proxy/main.o,$(call objects,proxy))
PARTS := $(filter-out $(MAIN),$(call objects,$(ROOMS:/=)))
ARCHIVE := $(OUT)/librenewgate.a
STANDIN := $(call objects,tests/standin)
BENCH := $(addprefix $(OUT)/bench-,load upstream)
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard $(ROOMS:%=tests/unit/%test_*.c)))
SOURCES := $(wildcard $(addsuffix *.[ch],$(ROOMS) tests/*/ $(ROOMS:%=tests/unit/%)))

PROGRAMS := $(if $(MAIN),$(OUT)/renewgate) \
            $(if $(shell grep -ls '^int main' tests/standin/*.c),$(OUT)/stalwart-standin)

.DEFAULT_GOAL := all
.PHONY: campaign all programs unit-tests test unit blackbox format format-check analyse bench \
        bench-beside bench-page bench-programs soak fuzz fuzz-server fuzz-memory fuzz-programs docs install uninstall dist sbom deb run clean help libraries

all: programs ## build the gate, build/renewgate, and the stand-in server of the tests
	@$(if $(MAIN),ln -sfn $(BUILD)/renewgate build/renewgate)

programs: $(PROGRAMS)

unit-tests: $(UNIT_TESTS:%=$(OUT)/unit/%)

$(OUT)/renewgate: $(MAIN) $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/stalwart-standin: $(STANDIN)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The gate with allocations that fail: tests/fuzz/server/failing_memory.c
$(OUT)/renewgate-failing: $(MAIN) $(ARCHIVE) $(OUT)/tests/fuzz/server/failing_memory.o
	$(CC) $(LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup \
	    -o $@ $^ $(LDLIBS)

$(OUT)/bench-%: $(OUT)/tests/bench/%.o $(OUT)/tests/bench/loopback.o
	$(CC) $(LDFLAGS) -o $@ $^ -lm

$(OUT)/unit/%: $(OUT)/tests/unit/%.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(UNIT_LDFLAGS_$(notdir $*)) -o $@ $^ -lcmocka $(LDLIBS)

$(OUT)/fuzz-%: $(OUT)/tests/fuzz/fuzz_%.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# Made anew, so that no object outlives its source.
$(ARCHIVE): $(PARTS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(OUT)/%.o: %.c Makefile VERSION | libraries
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

libraries:
	@$(PKG_CONFIG) --print-errors --exists $(PACKAGES) || { \
	    echo "run deploy/install-dependencies.sh, then deploy/build-libmicrohttpd.sh" >&2; exit 1; }

.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

# -- checks ----------------------------------------------------------------------------------------

test: unit blackbox ## unit and black-box tests; tests/run.sh is all that CI checks

unit: ## unit tests under the sanitizers
	@$(MAKE) --no-print-directory BUILD=asan unit-tests
	@for test in $(UNIT_TESTS:%=build/asan/unit/%); do $$test || exit 1; done

blackbox: ## black-box tests of the sanitised gate; Debian's own Python has Debian's pytest
	@$(MAKE) --no-print-directory BUILD=asan programs
	RENEWGATE_BUILD=build/asan /usr/bin/python3 -m pytest -q -n $(shell nproc) tests/blackbox

# What a fuzzer has found is kept under build/fuzz/corpus, and begun with the next time.
fuzz: ## fuzz all that reads what comes from outside, each for SECONDS=60, or with the same RUNS=4000; TARGETS="hold request"
	@$(MAKE) --no-print-directory BUILD=fuzz fuzz-programs
	@printf '%s\n' $(or $(TARGETS),$(FUZZERS)) | xargs -P $(shell nproc) -I {} \
	    tests/fuzz/run.sh {} $(if $(RUNS),$(RUNS) repeatable,$(or $(SECONDS),60))

fuzz-server: ## a hostile server before the sanitised gate, for SECONDS=60 or the first CASES=500; SEED=1
	@$(MAKE) --no-print-directory BUILD=asan programs
	RENEWGATE_BUILD=build/asan /usr/bin/python3 tests/fuzz/server/fuzz_server.py --seed $(or $(SEED),1) \
	    $(if $(CASES),--cases $(CASES),--seconds $(or $(SECONDS),60))

fuzz-memory: ## the same with memory that runs out, one allocation in ONE_IN=200
	@$(MAKE) --no-print-directory BUILD=asan programs build/asan/renewgate-failing
	RENEWGATE_BUILD=build/asan /usr/bin/python3 tests/fuzz/server/fuzz_server.py --seed $(or $(SEED),1) \
	    $(if $(CASES),--cases $(CASES),--seconds $(or $(SECONDS),60)) --failing $(or $(ONE_IN),200)

campaign: ## kill gate, server and lock server at each write of the queue; ROUNDS=288 FIRST=0
	@$(MAKE) --no-print-directory BUILD=asan programs
	CAMPAIGN_EACH=1 CAMPAIGN_ROUNDS=$(or $(ROUNDS),288) CAMPAIGN_FIRST=$(or $(FIRST),0) \
	    RENEWGATE_BUILD=build/asan /usr/bin/python3 -m pytest -q tests/blackbox/test_campaign.py

fuzz-programs: $(FUZZERS:%=$(OUT)/fuzz-%)

# Releases of clang-format differ in what they write; Debian 12 and 13 both have this one.
CLANG_FORMAT ?= clang-format-19

format: ## bring the C sources into the committed format
	@$(CLANG_FORMAT) -i $(SOURCES)

format-check: ## fail where "make format" would change something
	@$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)

analyse: ## static analysis, and that includes run downwards
	@tests/includes.sh
	@mkdir -p build/cppcheck
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -I. -D_GNU_SOURCE \
	    -D'JSON_INTEGER_FORMAT="lld"' --enable=warning,performance,portability \
	    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
	    --cppcheck-build-dir=build/cppcheck -j $(shell nproc) \
	    proxy jmap policy tests/standin tests/bench

# -- measurements ----------------------------------------------------------------------------------

bench-programs: $(PROGRAMS) $(BENCH)

bench: ## measure beside nginx and HAProxy, into build/bench; QUICK=1: a minute or two
	@$(MAKE) --no-print-directory BUILD=release bench-programs
	/usr/bin/python3 tests/bench/bench.py $(if $(QUICK),--quick)

bench-beside: ## held creates beside another build; OTHER=path/to/renewgate
	@$(MAKE) --no-print-directory BUILD=release bench-programs
	/usr/bin/python3 tests/bench/beside.py $(OTHER)

bench-page: ## take what bench and soak have measured over into docs/performance.md
	/usr/bin/python3 tests/bench/page.py

soak: ## half an hour of everything at once, memory watched; MINUTES=30
	@$(MAKE) --no-print-directory BUILD=release bench-programs
	/usr/bin/python3 tests/bench/soak.py --minutes $(or $(MINUTES),30)

# -- documents, installation, release ---------------------------------------------------------------

REFERENCE := docs/configuration.md
MAN := build/renewgate.8

docs: $(OUT)/renewgate $(MAN) ## write the reference page and the man page from the table of variables
	@sed -i '/^<!-- made by/q' $(REFERENCE)
	@{ echo; $(OUT)/renewgate --help-markdown; } >> $(REFERENCE)

$(MAN): docs/renewgate.8.scd docs/variables.awk $(OUT)/renewgate
	@$(OUT)/renewgate --help-markdown | awk -f docs/variables.awk > $@.variables
	@sed -e '/^@VARIABLES@/{r $@.variables' -e 'd}' docs/renewgate.8.scd | scdoc > $@
	@rm $@.variables

prefix ?= /usr/local
sbindir ?= $(prefix)/sbin
mandir ?= $(prefix)/share/man
INSTALL ?= install

install: $(OUT)/renewgate $(MAN) ## install the gate and its man page; DESTDIR and prefix are heeded
	$(INSTALL) -D -m 755 $(OUT)/renewgate $(DESTDIR)$(sbindir)/renewgate
	$(INSTALL) -D -m 644 $(MAN) $(DESTDIR)$(mandir)/man8/renewgate.8
	$(INSTALL) -D -m 644 deploy/completion/renewgate.bash \
	    $(DESTDIR)$(prefix)/share/bash-completion/completions/renewgate
	$(INSTALL) -D -m 644 deploy/completion/_renewgate \
	    $(DESTDIR)$(prefix)/share/zsh/site-functions/_renewgate

uninstall: ## remove what "make install" installed
	rm -f $(DESTDIR)$(sbindir)/renewgate $(DESTDIR)$(mandir)/man8/renewgate.8 \
	    $(DESTDIR)$(prefix)/share/bash-completion/completions/renewgate \
	    $(DESTDIR)$(prefix)/share/zsh/site-functions/_renewgate

# The commit alone decides every byte: its files, its time, no name of whoever made it.
dist: ## the same tarball from the same commit on every machine, in build/
	@mkdir -p build
	git -c tar.umask=0022 archive --format=tar --prefix=renewgate-$(VERSION)/ HEAD | gzip -9n \
	    > build/renewgate-$(VERSION).tar.gz
	@cd build && sha256sum renewgate-$(VERSION).tar.gz

sbom: $(OUT)/renewgate ## a CycloneDX list of what the gate is linked with, in build/
	deploy/sbom.py $< > build/renewgate-$(VERSION).cdx.json

deb: ## build the Debian package and look it over with lintian
	deploy/build-deb.sh

# -- the rest --------------------------------------------------------------------------------------

run: all ## start the gate; RENEWGATE_UPSTREAM_URL names the server
	build/renewgate

clean: ## remove what was built, but for build/deps
	rm -rf $(filter-out build/deps,$(wildcard build/*))

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16
