# Every target needs only python3 and make: it makes its own virtual environment, anew when pyproject.toml changes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test test-fast test-python coverage golden fuzz soak short lint audit format parity numerics pictures mutants bench bench-nuclei bench-overfit bench-scaling bench-index bench-augment clean

# glibc gives the arrays of a step back to the system after it, and takes zeroed pages for the next: a fifth of the demo's step. So
# it keeps them here. A large model would fragment what is kept (12 GB instead of 4 for nuclei), so nothing else does.
KEEP_MEMORY := MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000

demo: $(VENV)/.package  ## train, evaluate and picture the procedural shapes
	rm -rf runs/demo
	$(KEEP_MEMORY) $(BIN)/maskrcnn train shapes --run-dir runs/demo

# A process a core, each with whole files: most of a test is the compilation of a small program, which keeps one core busy.
EACH_CORE := -n auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.test  ## every test that needs no PyTorch, but for `golden`
	$(PYTEST) $(EACH_CORE) -m "not parity and not golden and not soak"
	@echo "Not run: what compares with PyTorch and torchvision (make parity) or with stored outputs (make golden), and what takes minutes (make soak)."

test-fast: $(VENV)/.test  ## the same without the slow ones
	$(PYTEST) $(EACH_CORE) -m "not parity and not golden and not soak and not slow"

# What is pure numerics has one Python as it has another; the rest is what a version of Python can break.
COMPUTED := tests/ops tests/stages tests/nn tests/models
NUMERICS := $(COMPUTED) tests/golden tests/reports tests/evaluation tests/inference
test-python: $(VENV)/.test  ## the fast ones that are not pure numerics, for another Python
	$(PYTEST) $(EACH_CORE) -m "not parity and not golden and not soak and not slow" $(addprefix --ignore ,$(NUMERICS))

coverage: $(VENV)/.test  ## lines of ops, stages and models that their tests run
	$(PYTEST) $(EACH_CORE) -m "not parity and not golden and not soak" $(COMPUTED) \
	  --cov=maskrcnn_jax/ops --cov=maskrcnn_jax/stages --cov=maskrcnn_jax/models --cov-fail-under=95

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(VENV)/.dev  ## known vulnerabilities of what is installed
	$(BIN)/python scripts/audit.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

golden: $(VENV)/.test  ## whole networks against outputs of the real torchvision and Detectron2: ten minutes
	$(PYTEST) $(EACH_CORE) -m golden

COUNT ?= 10000
SEED ?= 0
fuzz: $(VENV)/.test  ## spoilt datasets, images and masks of every format, COUNT of them, other ones with another SEED
	FUZZ_COUNT=$(COUNT) FUZZ_SEED=$(SEED) $(PYTEST) -n auto -m soak tests/fuzz

soak: $(VENV)/.test  ## what takes minutes: sixty signals over one run, twenty steps on eight devices, two processes of a model, one that dies, two images by heart, a second start, 10,000 spoilt files
	$(PYTEST) -m soak

parity: $(VENV)/.parity  ## the same numbers as torchvision: fifteen minutes
	$(PYTEST) -m parity

numerics: $(VENV)/.test  ## the table of docs/numerics.md: ten minutes
	$(BIN)/python scripts/numerics.py

short: $(VENV)/.parity  ## of `golden` and `parity` a part: one network of each system, two live, a training step of both
	$(PYTEST) $(EACH_CORE) -m "(golden or parity) and not slow"

pictures: $(VENV)/.test  ## those of the README, from the run of `demo`; needs Chromium
	$(BIN)/python scripts/readme_pictures.py

mutants: $(VENV)/.dev $(VENV)/.test  ## survivors of mutmut over maskrcnn_jax/ops
	$(BIN)/mutmut run
	$(BIN)/mutmut results

bench: $(VENV)/.parity  ## this package and torchvision side by side: half an hour
	$(BIN)/python scripts/benchmark.py

bench-nuclei: $(VENV)/.package
	$(BIN)/python scripts/bench_nuclei.py

bench-scaling: $(VENV)/.package  ## weak scaling, simulated and as arithmetic
	$(BIN)/python scripts/bench_scaling.py

bench-index: $(VENV)/.package  ## a dataset of a million images: start-up time and memory
	$(BIN)/python scripts/bench_index.py

bench-augment: $(VENV)/.package  ## large-scale jitter and copy-paste on nuclei, against none: six runs
	$(BIN)/python scripts/bench_augment.py

bench-overfit: $(VENV)/.package
	$(BIN)/python scripts/bench_overfit.py

clean:
	rm -rf $(VENV) mutants .cache

$(VENV)/.package: pyproject.toml
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test $(VENV)/.dev $(VENV)/.parity: $(VENV)/.%: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
