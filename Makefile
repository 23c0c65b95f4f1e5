# wisp: build, test, measure, install. `make help` lists the targets.
#
# The program is one static file without a dynamic loader, in two sizes: build/wisp (everything) and
# build/wisp-initramfs (growing, init and image writing; bytes in an initramfs are paid at every boot).

SHELL   := /bin/sh
# mkfs and its kin live in sbin, which an ordinary user's PATH may lack.
export PATH := $(PATH):/usr/sbin:/sbin

CARGO   ?= cargo
HOST    := $(shell uname -m)
ARCH    ?= $(HOST)
CROSS   := $(filter-out $(HOST),$(ARCH))
OUT     := build$(if $(CROSS),/$(ARCH))

# Bytes each program may have. The initramfs one is read by firmware or boot loader at every boot, often slowly.
BUDGET_WISP           := 2621440
BUDGET_WISP_INITRAMFS := 430080

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
DOCDIR     ?= $(PREFIX)/share/doc/wisp
INITDIR    ?= /etc/init.d
UNITDIR    ?= $(PREFIX)/lib/systemd/system
DRACUTDIR  ?= /usr/lib/dracut/modules.d
INITRAMFSTOOLSDIR ?= /usr/share/initramfs-tools
FEATURESDIR ?= /etc/mkinitfs/features.d

# Seconds that `make fuzz` spends on each parser.
SECONDS  ?= 20
SCENARIO ?=
TIER     ?= first

.PHONY: build release help toolchain demo test terraform qemu bench size check install install-openrc install-systemd install-dracut install-initramfs-tools install-mkinitfs initramfs uki fuzz clean FORCE
.DELETE_ON_ERROR:

build: $(OUT)/wisp $(OUT)/wisp-initramfs ## build both programs (also what a plain `make` does); ARCH=aarch64 for another CPU

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# How to link: COMPILER:TARGET, the first that this machine has the standard library's core for. Rust's own musl target
# brings everything; with the gnu target, build.rs links against the musl of Debian's musl-dev instead. The last one is
# Debian's rustc-web beside a rustup one. Anything else: make WAY=rustc:TARGET.
has_core = $(wildcard $(shell $(firstword $(1)) --print target-libdir --target $(lastword $(1)) 2>/dev/null)/libcore-*.rlib)
MUSL_HOST = $(filter %-musl,$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p'))
WAYS = rustc:$(ARCH)-unknown-linux-musl $(if $(CROSS),,$(addprefix rustc:,$(MUSL_HOST))) \
	rustc:$(ARCH)-unknown-linux-gnu /usr/bin/rustc:$(ARCH)-unknown-linux-gnu
WAY  ?= $(firstword $(foreach way,$(WAYS),$(if $(call has_core,$(subst :, ,$(way))),$(way))))

TARGET     = $(lastword $(subst :, ,$(WAY)))
COMPILER   = $(firstword $(subst :, ,$(WAY)))
# A compiler that has the sources of Rust's core in place of a build for the target (Debian's, for musl) builds it first,
# and takes the start files of musl-dev.
BUILD_STD  = $(if $(call has_core,$(subst :, ,$(WAY))),,-Z build-std=core,alloc)
MUSL       = /usr/lib/$(ARCH)-linux-musl
GNU_TOOL   = $(if $(CROSS),$(ARCH)-linux-gnu-)
# C code (zstd) must see musl's headers, not those of the C library of this machine.
MUSL_CC    = $(if $(CROSS),$(ARCH)-linux-gnu-gcc -specs $(MUSL)/musl-gcc.specs,musl-gcc)
# Of zstd only what is used, by the switches that its authors provide: of its encoder the strategies of the highest levels,
# as `wisp initramfs` packs at 19; of its decoder one of two loops, which cost no time, where there are two for the same
# work. The 10 KB more of code for BMI2 bring a tenth of the speed, and stay.
NO_LEVELS  = DFAST GREEDY LAZY LAZY2 BTLAZY2 BTOPT
ZSTD_FLAGS = $(NO_LEVELS:%=-DZSTD_EXCLUDE_%_BLOCK_COMPRESSOR) -DHUF_FORCE_DECOMPRESS_X1 \
	-DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT -DZSTD_STRIP_ERROR_STRINGS
# The C code of zstd and ring.
HARDENING  = -fstack-protector-strong -g1
# SHA-2 where the CPU has no instructions for it, for TLS and for a check that xz files seldom have: its smaller form.
SMALL_SHA  = --cfg sha2_backend_soft="compact"
# The curve of host keys, which are made once: 27 KB less than with its loops for each kind of vector.
SMALL_CURVE = --cfg curve25519_dalek_backend="serial"
# Functions with more than so many bytes of variables stay apart: in a large frame each takes a long address.
INLINING   = -C llvm-args=-inline-max-stacksize=384
# Functions of the same code become one, where Rust brings the linker that can do it and no code compares their addresses.
LLD        = $(if $(CROSS),,$(firstword $(wildcard $(shell $(COMPILER) --print sysroot)/lib/rustlib/$(ARCH)-*/bin/gcc-ld/ld.lld)))
FOLDING    = $(if $(LLD),-C link-arg=-B$(dir $(LLD)) -C link-arg=-fuse-ld=lld -C link-arg=-Xlinker -C link-arg=--icf=safe)
TRIPLE     = $(subst -,_,$(TARGET))
TRIPLE_CAP = $(shell echo $(TRIPLE) | tr a-z A-Z)
# Panic messages name files: those of dependencies by crate and version, without the folders of this machine.
REMAP      = $(foreach place,$(wildcard $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src/*),--remap-path-prefix=$(place)/=) \
	--remap-path-prefix=$(shell $(COMPILER) --print sysroot)/lib/rustlib/src/rust/=
# The flags go to the target only: build scripts and proc-macros of the same machine cannot live with them.
BUILD_ENV  = CARGO_TARGET_$(TRIPLE_CAP)_RUSTFLAGS='-C target-feature=+crt-static -C relocation-model=pie \
	$(INLINING) $(FOLDING) $(REMAP) $(SMALL_SHA) $(SMALL_CURVE) $(if $(BUILD_STD),-C link-self-contained=no)' \
	$(if $(BUILD_STD),RUSTC_BOOTSTRAP=1 WISP_MUSL=$(MUSL)) \
	CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only $(if $(MUSL_HOST),,CC_$(TRIPLE)='$(MUSL_CC)') \
	CFLAGS_$(TRIPLE)='$(ZSTD_FLAGS) $(HARDENING)' \
	$(if $(CROSS),CARGO_TARGET_$(TRIPLE_CAP)_LINKER=$(ARCH)-linux-gnu-gcc) $(if $(filter /%,$(COMPILER)),RUSTC=$(COMPILER))
FEATURES   = $(if $(filter %-gnu,$(TARGET)),--features static)

toolchain:
	@command -v $(CARGO) >/dev/null || { echo "wisp is built by Rust 1.88 or later: install it with rustup" >&2; exit 1; }
	@tests/require tests/packages build $(if $(CROSS),build-$(ARCH),$(if $(MUSL_HOST),,musl))
	@$(if $(WAY),,tests/require tests/packages rust-$(ARCH))

$(if $(filter x86_64 aarch64,$(ARCH)),,$(error wisp is for x86_64 and aarch64, not for $(ARCH)))

# Symbols and line numbers go to $@.debug, which debuggers find by the build ID; a program is replaced only when it differs.
$(OUT)/wisp-initramfs: FEATURES += --no-default-features
$(OUT)/wisp $(OUT)/wisp-initramfs: FORCE | toolchain
	@echo "$@: $(COMPILER) for $(TARGET), $(if $(filter %-gnu,$(TARGET)),linked against musl in $(MUSL),with Rust's own musl)"
	@$(BUILD_ENV) $(CARGO) build --release --locked --bin wisp --target $(TARGET) --target-dir target/$(@F) $(FEATURES) $(BUILD_STD)
	@mkdir -p $(@D)
	@$(GNU_TOOL)objcopy --only-keep-debug target/$(@F)/$(TARGET)/release/wisp $@.debug
	@$(GNU_TOOL)strip -o $@.new target/$(@F)/$(TARGET)/release/wisp
	@if readelf -lW $@.new | grep -q INTERP; then echo "$@ wants a dynamic loader" >&2; exit 1; fi
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

RELEASE_WAY = $(or $(firstword $(foreach way,rustc:$(ARCH)-unknown-linux-musl,$(if $(call has_core,$(subst :, ,$(way))),$(way)))),/usr/bin/rustc:$(ARCH)-unknown-linux-musl)
release: ## both programs for Rust's musl target, as they are published: build/release/
	@$(if $(filter /usr/bin/rustc:%,$(RELEASE_WAY)),tests/require tests/packages build musl release)
	@$(MAKE) --no-print-directory build WAY=$(RELEASE_WAY) OUT=build/release

demo: build build/metadata-server ## a machine image boots in a cloud: its root grows, it reads its metadata; in its own words
	@qemu/demo

test: build ## unit tests, repository rules, and the command line of the shipped programs
	@tests/require tests/packages test
	@tests/run $(CARGO)

terraform: ## only the tests of terraform/: Terraform's own, cloud-init's schema, the scripts
	@tests/require tests/packages test
	$(CARGO) test --locked --test terraform

# Of std alone, so that its compiler does in three seconds what cargo would build the whole program for.
build/metadata-server: tests/metadata/example.rs $(wildcard tests/metadata/server/*.rs)
	@mkdir -p $(@D)
	CARGO_MANIFEST_DIR=$(CURDIR) $(COMPILER) --edition 2024 -O -o $@ $<

build/image-server: tests/image-server/server.rs
	@mkdir -p $(@D)
	$(COMPILER) --edition 2024 -O -o $@ $<

qemu: build build/metadata-server build/image-server ## boot the scenarios of the first tier, TIER=all: every one, or SCENARIO=name
	@TIER='$(TIER)' qemu/run $(SCENARIO)

bench: build build/metadata-server build/image-server ## wisp against sfdisk and its kin, other initramfs, curl, the tool of each compression format, cloud-init, qemu-img
	@echo "seven comparisons, up to half an hour in all; figures are medians, BENCHMARKS.md says of what and in which unit"
	@for what in qemu/bench qemu/start benches/crawl benches/decode benches/bootstrap benches/image qemu/login; do \
		echo "== $$what: $$(sed -n '2s/^# //p' $$what)"; began=$$(date +%s); $$what || exit 1; \
		echo "== $$what: $$(($$(date +%s) - began)) s"; done

size: build ## bytes against the budget, and the ten largest symbols of each program
	@$(call weigh,wisp,$(BUDGET_WISP)); $(call weigh,wisp-initramfs,$(BUDGET_WISP_INITRAMFS)); exit $${over:-0}
# Symbols of type b or B are in .bss: they have a size and no bytes in the file.
define weigh
bytes=$$(stat -c %s $(OUT)/$(1)); echo "$(OUT)/$(1): $$bytes of $(2) bytes"; \
[ $$bytes -le $(2) ] || { echo "$(OUT)/$(1) is over its budget" >&2; over=1; }; \
$(GNU_TOOL)nm --size-sort --reverse-sort --print-size --demangle --radix=d target/$(1)/$(TARGET)/release/wisp | \
	sed -E '/^[0-9]+ [0-9]+ [bB] /d; s/^[0-9]+ 0*([0-9]+) ./  \1\t/' | head -n 10
endef

check: ## formatting, clippy, documentation and repository rules; warnings are errors
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked --lib --bins --features static -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --locked --no-deps --document-private-items
	$(CARGO) test --locked --test rules
	@echo "unsafe blocks: $$(grep -rE 'unsafe (\{|impl|extern)' --include='*.rs' src | wc -l)"

install: $(if $(wildcard $(OUT)/wisp),,build) ## copy to DESTDIR= PREFIX= (BINDIR= LIBEXECDIR= DOCDIR=)
	install -Dm755 $(OUT)/wisp $(DESTDIR)$(BINDIR)/wisp
	ln -sf wisp $(DESTDIR)$(BINDIR)/imds
	ln -sf wisp $(DESTDIR)$(BINDIR)/tiny-cloud
	install -Dm755 $(OUT)/wisp-initramfs $(DESTDIR)$(LIBEXECDIR)/wisp/wisp-initramfs
	install -Dm644 -t $(DESTDIR)$(DOCDIR) README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE
	install -Dm644 -t $(DESTDIR)$(DOCDIR)/docs docs/*.md

# Services and hooks name the program where it is installed by default, and are checked in the repository as they are.
AT_HOME = sed 's|/usr/local/bin/wisp|$(BINDIR)/wisp|; s|/usr/local/libexec/wisp/|$(LIBEXECDIR)/wisp/|'
PHASES  = boot early main final

install-openrc: ## the services of the four phases, for OpenRC (INITDIR=); `wisp enable` makes them start at boot
	@mkdir -p $(DESTDIR)$(INITDIR)
	set -e; for phase in $(PHASES); do $(AT_HOME) openrc/wisp-$$phase > $(DESTDIR)$(INITDIR)/wisp-$$phase; \
		chmod 755 $(DESTDIR)$(INITDIR)/wisp-$$phase; done

install-systemd: ## the units of the four phases, for systemd (UNITDIR=); `wisp enable` makes them start at boot
	@mkdir -p $(DESTDIR)$(UNITDIR)
	set -e; for phase in $(PHASES); do $(AT_HOME) systemd/wisp-$$phase.service > $(DESTDIR)$(UNITDIR)/wisp-$$phase.service; done
	install -Dm644 systemd/ssh.conf $(DESTDIR)$(UNITDIR)/ssh@.service.d/wisp.conf
	install -Dm644 systemd/ssh.conf $(DESTDIR)$(UNITDIR)/sshd@.service.d/wisp.conf

# 50 to 59 is where dracut wants the modules of others.
install-dracut: ## the modules for dracut (DRACUTDIR=); then run `dracut --force`
	set -e; install_module() { \
		install -Dm644 -t $(DESTDIR)$(DRACUTDIR)/$$2 $$1/wisp-*; \
		install -m755 $$1/module-setup.sh $(DESTDIR)$(DRACUTDIR)/$$2; \
		$(AT_HOME) $$1/module-setup.sh > $(DESTDIR)$(DRACUTDIR)/$$2/module-setup.sh; \
	}; install_module dracut 50wisp; install_module dracut/image 50wisp-image

# update-initramfs is the user's to run: it makes what the next boot depends on.
install-initramfs-tools: ## hook and scripts for Debian's initramfs-tools (INITRAMFSTOOLSDIR=); then run `update-initramfs -u`
	set -e; for file in hooks/wisp scripts/local-block/wisp scripts/local-bottom/00-wisp; do \
		install -Dm755 initramfs/$$file $(DESTDIR)$(INITRAMFSTOOLSDIR)/$$file; \
		$(AT_HOME) initramfs/$$file > $(DESTDIR)$(INITRAMFSTOOLSDIR)/$$file; done

install-mkinitfs: ## the features of Alpine's mkinitfs (FEATURESDIR=); `wisp mkinitfs enable` puts one into its images
	install -Dm644 -t $(DESTDIR)$(FEATURESDIR) mkinitfs/wisp.files mkinitfs/wisp.modules \
		mkinitfs/wisp-init.files mkinitfs/wisp-init.modules

# The kernel of this machine unless KERNEL= or MODULES_DIR= says another one.
IMAGE_OPTIONS = $(if $(KERNEL),--kernel $(KERNEL)) $(if $(MODULES_DIR),--modules-dir $(MODULES_DIR)) \
	$(if $(FOR),--for $(FOR)) $(if $(FILESYSTEM),--filesystem $(FILESYSTEM)) \
	$(if $(NETWORK),--network $(NETWORK))
initramfs: build ## a stand-alone initramfs in build/, for the running kernel or KERNEL= MODULES_DIR=; FOR= FILESYSTEM= NETWORK=
	$(OUT)/wisp initramfs -o $(OUT)/initramfs.img $(IMAGE_OPTIONS)

VMLINUZ ?= /boot/vmlinuz-$(or $(KERNEL),$(notdir $(MODULES_DIR:%/=%)),$(shell uname -r))
uki: initramfs ## such an initramfs, its kernel (VMLINUZ=) and CMDLINE= in one file for UEFI: build/wisp.efi
	@tests/require initramfs/packages uki uki-$(HOST)
	initramfs/uki -o $(OUT)/wisp.efi --kernel $(VMLINUZ) --initramfs $(OUT)/initramfs.img $(if $(CMDLINE),--cmdline '$(CMDLINE)')

fuzz: ## let libFuzzer at every parser for SECONDS= each
	@fuzz/run $(SECONDS)

clean: ## remove everything that was built
	rm -rf build target fuzz/target
