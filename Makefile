# acceld: `make help` lists the targets. Built objects, libraries and programs lie in $(BUILD).

VERSION := 0.1.0
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
LOCALSTATEDIR ?= /var
UNITDIR ?= $(PREFIX)/lib/systemd/system

ifeq ($(origin CC),default)
CC := gcc
endif
AR        ?= ar
PROTOC_C  ?= protoc-c
PKGCONFIG ?= pkg-config
PYTHON    ?= python3
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@))

# SAN=address,undefined or SAN=thread builds everything under that sanitizer (see asan, tsan).
SAN ?=
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wvla -Wwrite-strings -Wformat=2
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE -fPIC -pthread -fvisibility=hidden -fno-strict-aliasing \
             -fstack-protector-strong $(WARNINGS) $(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) \
             -Iinclude -Isrc -Itests -I$(BUILD)/gen -DACCELD_VERSION='"$(VERSION)"' -DACCELD_PREFIX='"$(PREFIX)"' \
             -DACCELD_SYSCONFDIR='"$(SYSCONFDIR)"' -DACCELD_LOCALSTATEDIR='"$(LOCALSTATEDIR)"'
LDFLAGS_ALL = -pthread $(LDFLAGS) -Wl,--as-needed -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))

include mk/sources.mk

.DEFAULT_GOAL := all
.PHONY: all help clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(LIBRARIES) $(MODULES) ## build everything

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

clean: ## delete what was built
	rm -rf $(BUILD)

include mk/build.mk
include mk/check.mk
include mk/install.mk
