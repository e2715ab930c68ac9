# Gatepost. `make` lists what can be made.
SHELL := /bin/bash
GO ?= go
PROGRAMS := gatekiosk gatehub gatectl
GOFUMPT := $(GO) run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZ_TIME ?= 10s
export CGO_ENABLED ?= 0

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: ## show the whole gate on this machine (DEMO_FOR=20s ends by itself, DEMO_CAMERA=v4l:/dev/video0 takes a camera)
	@$(GO) build -o bin/gatectl ./cmd/gatectl && exec bin/gatectl demo

build: ## the three programs, in bin/
	$(GO) build -trimpath -o bin/ $(PROGRAMS:%=./cmd/%)

test: deps ## all tests with the race detector, then the demo
	@command -v gcc >/dev/null || echo "make test: no C compiler, so no race detector"
	CGO_ENABLED=$(if $(shell command -v gcc),1,0) $(GO) test $(if $(shell command -v gcc),-race) -timeout 15m ./...
	DEMO_FOR=20s $(MAKE) --no-print-directory run

deps: ## what the tests need from Debian; a root user's machine gets it, others are told
	@.ci/deps

lint: ## format, vet, staticcheck, and the builds that ship
	@files=$$($(GOFUMPT) -l .) && test -z "$$files" || { echo "not formatted: $$files; run make format"; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...
	GOARCH=arm64 $(GO) build -o /dev/null ./cmd/gatekiosk
	GOARCH=arm64 $(GO) build -o /dev/null ./cmd/gatectl
	GOARCH=arm GOARM=6 $(GO) build -o /dev/null ./cmd/gatekiosk
	GOARCH=arm GOARM=6 $(GO) build -o /dev/null ./cmd/gatectl
	GOARCH=amd64 $(GO) build -o /dev/null ./cmd/gatehub
	GOARCH=arm64 $(GO) build -o /dev/null ./cmd/gatehub

format: ## format the code
	$(GOFUMPT) -w .

forms: ## sign the shipped forms anew, after a change of one; the key is thrown away
	@T=$$(mktemp -d) && trap 'rm -r $$T' EXIT && $(GO) build -o $$T/gatectl ./cmd/gatectl && $$T/gatectl keygen -kind publisher -out $$T && \
	  $$T/gatectl form sign -key $$T/publisher.key scanner/form/forms/*.toml && cp $$T/publisher.pub.pem scanner/form/forms/

fuzz: ## every fuzz target for FUZZ_TIME
	@set -e; $(GO) list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9]+' "$$dir"/*_test.go 2>/dev/null | cut -c6-); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ_TIME) "$$pkg"; done; done

pictures: ## the README's and the guides' pictures, from the demo, a guard's day in a browser, and the table of pins
	$(GO) test -count=1 -run TestDemo ./cmd/internal/demo -update
	$(GO) test -count=1 -run TestGuardsDay ./cmd/gatekiosk -update
	$(GO) run ./buildroot/wiring docs/TECHNICIAN.md docs/wiring.svg

vm-image: ## the card's image for a virtual machine, in bin/vm: everything but the kernel as on a Pi
	buildroot/test/image.sh $(CURDIR)/bin/vm

image: ## the card's image for a Pi, in bin/image, with its parts and licences; BUILDROOT=DIR is a Buildroot 2026.08 with its download sites
	@test -d "$(BUILDROOT)" || { echo "make image needs BUILDROOT=DIR, a Buildroot 2026.08"; exit 2; }
	$(MAKE) -C $(BUILDROOT) BR2_EXTERNAL=$(CURDIR)/buildroot O=$(CURDIR)/bin/image gatepost_arm64_defconfig
	$(MAKE) -C bin/image all legal-info
	$(MAKE) -s -C bin/image show-info | $(BUILDROOT)/utils/generate-cyclonedx >bin/image/images/sbom.cdx.json

prove: prove-camera prove-gpio prove-post prove-armv6 prove-image prove-scan prove-journal prove-sync ## every long proof

prove-camera: ## a real V4L2 device (vivid in an arm64 VM) through the gate to a pull
	buildroot/test/camera.sh

prove-gpio: ## the lamps on real GPIO lines (gpio-sim in an arm64 VM)
	buildroot/test/gpio.sh

prove-post: ## the guard's post: lamps, turnstile, screen, readers, battery's clock and watchdog, in an arm64 VM
	buildroot/test/post.sh

prove-armv6: ## the gate as it is built for a Zero W, under an emulated ARMv6
	buildroot/test/armv6.sh

prove-image: ## the card's image in a machine: flashed, enrolled, people, updates, 50 power cuts, a hub that is away (25 min; N=0 a quick look)
	@$(GO) build -o bin/prove ./cmd/internal/prove && exec bin/prove image -n $(or $(N),1) $(PARTS)

prove-journal: ## the journal against kills, failing calls, power cuts, damage and planted bugs (N=2 twice as much, PARTS="cut kill")
	@$(GO) build -o bin/prove ./cmd/internal/prove && exec bin/prove -n $(or $(N),1) $(PARTS)

prove-sync: ## the way from gate to puller against kills, power cuts, lost disks, bad networks and planted bugs (N=2, PARTS="cluster power")
	@$(GO) build -o bin/prove-sync ./cmd/internal/prove/sync && exec bin/prove-sync -n $(or $(N),1) $(PARTS)

prove-scan: ## every frame of scanner/qr/scene against its floor (2 min), and the pictures of ../shared/corpus
	GATEPOST_EVERY=1 $(GO) test -count=1 -v -run 'TestFrames|TestCorpus' ./scanner/qr | grep -vE '^ *=== '

bench-journal: ## what an entry costs beside a raw write, SQLite and plain bbolt; writes docs/PERFORMANCE.md
	@$(GO) run ./cmd/internal/bench/journal -update docs/PERFORMANCE.md

bench-herd: ## 2,000 gates at once after an outage, and 38,181 computed; writes docs/PERFORMANCE.md
	@$(GO) run ./cmd/internal/bench/herd -update docs/PERFORMANCE.md

bench-sync: ## what a hub takes in, over its store and others, the pull and the replay; writes docs/PERFORMANCE.md (15 min; SCALE=50 a quick look)
	@$(GO) run ./cmd/internal/bench/sync $(if $(SCALE),-scale $(SCALE),-update docs/PERFORMANCE.md)

bench-scan: ## reads and time beside zxing-cpp, ZBar and gozxing; writes docs/PERFORMANCE.md (20 min; EVERY=6 a quick look, DIRS="folder…" of PGM files)
	@command -v g++ >/dev/null && echo '#include <zbar.h>' | g++ -E -x c++ - >/dev/null 2>&1 && echo '#include <ZXing/ReadBarcode.h>' | g++ -std=c++17 -E -x c++ - >/dev/null 2>&1 || \
	  { echo "make bench-scan needs: apt-get install g++ libzxing-dev libzbar-dev"; exit 1; }
	@mkdir -p bin && g++ -O2 -std=c++17 -o bin/bench-zxing scanner/qr/bench/zxing.cpp -lZXing && g++ -O2 -std=c++17 -o bin/bench-zbar scanner/qr/bench/zbar.cpp -lzbar
	@$(GO) run ./cmd/internal/bench/scan $(if $(EVERY),-every $(EVERY),-update docs/PERFORMANCE.md) $(DIRS)

bench-gate: ## how long a person waits at the gate, and what it costs while nobody does; four lanes for an hour; writes docs/PERFORMANCE.md (10 min)
	@command -v g++ >/dev/null && echo '#include <ZXing/ReadBarcode.h>' | g++ -std=c++17 -E -x c++ - >/dev/null 2>&1 || { echo "make bench-gate needs: apt-get install g++ libzxing-dev"; exit 1; }
	@mkdir -p bin && g++ -O2 -std=c++17 -o bin/bench-zxing scanner/qr/bench/zxing.cpp -lZXing
	@$(GO) run ./cmd/internal/bench/gate -update docs/PERFORMANCE.md
	GATEPOST_PACE=3600 $(GO) test -count=1 -timeout 20m -v -run TestFourLanes ./cmd/internal/kiosk

bench-verify: ## what a health certificate costs beside the bare check of its signature; writes docs/PERFORMANCE.md (1 min)
	@$(GO) run ./cmd/internal/bench/verify -update docs/PERFORMANCE.md

bench-reach: ## how far away a code may be held, by lens and code; writes docs/PERFORMANCE.md (3 min)
	@$(GO) run ./cmd/internal/bench/scan -reach -update docs/PERFORMANCE.md

bench-boot: ## how long the image takes to a gate that reads, beside the same kernel and a static hello (3 min)
	buildroot/test/boot.sh

bench-flash: ## what writing a card takes beside bmaptool, on a loop device; writes docs/PERFORMANCE.md
	@$(GO) build -o bin/gatectl ./cmd/gatectl && $(GO) run ./cmd/internal/bench/flash -update docs/PERFORMANCE.md

clean:
	rm -rf bin

.PHONY: help run build test deps lint format forms fuzz pictures prove prove-camera prove-gpio prove-post prove-armv6 prove-image prove-scan prove-journal prove-sync vm-image image bench-journal bench-herd bench-sync bench-scan bench-gate bench-verify bench-reach bench-boot bench-flash clean
.DEFAULT_GOAL := help
