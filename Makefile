# renewgate: a gate for certificate renewals in front of a Stalwart mail server.
#
#   make              build/renewgate
#   make BUILD=asan   build/asan/renewgate, under AddressSanitizer and UndefinedBehaviorSanitizer

BUILD ?= release
OUT := build/$(BUILD)
VERSION := $(shell cat VERSION)

# build/deps is where deploy/build-libmicrohttpd.sh puts what Debian 12 lacks.
PKG_CONFIG := PKG_CONFIG_PATH=$(CURDIR)/build/deps/lib/pkgconfig pkg-config
LIBRARIES := 'libmicrohttpd >= 1.0.1' libcurl jansson libcrypto

WARNINGS := -Wall -Wextra -Wpedantic -Werror
CPPFLAGS += -I. -Itests -D_GNU_SOURCE -DRENEWGATE_VERSION='"$(VERSION)"'
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
CFLAGS_debug := -O0 -g
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
               -fno-sanitize-recover=all
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -g -fsanitize=thread
LDFLAGS_tsan := -fsanitize=thread
CFLAGS_clang := -O2 -g
ifeq ($(BUILD),clang)
CC := clang
endif

CFLAGS := -std=c11 $(WARNINGS) $(CFLAGS_$(BUILD)) $(shell $(PKG_CONFIG) --cflags $(LIBRARIES))
LDFLAGS += $(LDFLAGS_$(BUILD))
LDLIBS := $(shell $(PKG_CONFIG) --libs $(LIBRARIES)) \
          $(if $(wildcard build/deps/lib/libmicrohttpd.a),-lgnutls) -lpthread

# Tests in which memory runs out at every call in turn.
LDFLAGS_test_san_set := -Wl,--wrap=malloc,--wrap=realloc

objects = $(patsubst %.c,$(OUT)/%.o,$(wildcard $(addsuffix /*.c,$(1))))
LOGIC := $(call objects,jmap policy)
GATE := $(call objects,proxy) $(LOGIC)
STANDIN := $(call objects,tests/standin)
UNIT := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/test_*.c))
SOURCES := $(wildcard proxy/*.[ch] jmap/*.[ch] policy/*.[ch] tests/unit/*.[ch] tests/standin/*.[ch])

PROGRAMS := $(if $(wildcard proxy/main.c),$(OUT)/renewgate) \
            $(if $(wildcard tests/standin/main.c),$(OUT)/stalwart-standin)

.PHONY: all programs unit-tests test unit blackbox format format-check analyse run clean help
.DEFAULT_GOAL := all

all: programs ## build the gate (build/renewgate) and the stand-in server
	@if [ -x $(OUT)/renewgate ]; then ln -sf $(BUILD)/renewgate build/renewgate; fi

programs: $(PROGRAMS)

unit-tests: $(UNIT)

$(OUT)/renewgate: $(GATE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/stalwart-standin: $(STANDIN)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/unit/%: $(OUT)/tests/unit/%.o $(LOGIC)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(LDFLAGS_$*) -o $@ $^ -lcmocka $(LDLIBS)

$(OUT)/%.o: %.c Makefile VERSION
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

test: ## everything that CI checks
	tests/run.sh

unit: ## unit tests under the sanitizers
	@$(MAKE) --no-print-directory BUILD=asan unit-tests
	@for t in build/asan/unit/test_*; do case $$t in *.*) ;; *) $$t || exit 1;; esac; done

blackbox: ## black-box tests of the sanitised binaries
	@$(MAKE) --no-print-directory BUILD=asan programs
	RENEWGATE_BUILD=build/asan /usr/bin/python3 -m pytest -q tests/blackbox

format: ## bring the C sources into the committed format
	clang-format -i $(SOURCES)

format-check:
	clang-format --dry-run --Werror $(SOURCES)

analyse: ## static analysis
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -I. -D_GNU_SOURCE \
	    --enable=warning,performance,portability --suppress=missingIncludeSystem \
	    $(wildcard proxy jmap policy tests/standin)

run: all ## start the gate; RENEWGATE_UPSTREAM_URL names the server
	build/renewgate

clean: ## remove what was built, but for build/deps
	rm -rf build/release build/debug build/asan build/tsan build/clang build/renewgate

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
