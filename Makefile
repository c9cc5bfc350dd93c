# Everything runs in .venv, made here; nothing else is needed but Debian and Python 3.11 or newer.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# processes that the tests run in, each with one thread; one more than cores, since some tests wait for others
JOBS ?= 3
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile

# Tests start some hundred processes: each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: browser env demo test test-slow doctest lint qgis plugin docs bench audit sbom clean

env: $(VENV)/.made

$(VENV)/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --no-compile --editable ".[dashboard,flows,jobqueue,objects,openvino,quantise,regularise,train,view,dev]"
	touch $@

demo: env
	$(BIN)/geoseg demo --scene sample_tiles/town.tif --labels sample_tiles/town_labels.tif --out out/demo

test:
	$(MAKE) --jobs=2 --output-sync=target env qgis
	$(MAKE) --jobs=2 --output-sync=target lint doctest
	$(PYTEST) --hypothesis-profile=fixed -m "not slow" --durations=30

doctest: env
	$(BIN)/pytest --doctest-modules geoseg

# Property tests try the same examples each time in `make test`; here they look for new ones.
test-slow: env qgis
	OMP_NUM_THREADS=$$(nproc) $(BIN)/pytest --hypothesis-profile=search -m "slow or hypothesis"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Debian's QGIS opens the layers in the tests. Where it cannot be installed, those tests are skipped and say so.
qgis:
	@/usr/bin/python3 -c "import qgis.core" 2>/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends qgis python3-qgis >/dev/null; } || \
	  echo "QGIS cannot be installed here (not root, or not Debian): its tests will be skipped"

# The page of geoseg view in Debian's Chromium; without it those tests are skipped.
browser: env
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }
	$(BIN)/pip install --quiet --constraint constraints.txt playwright
	$(BIN)/pytest -p no:cacheprovider tests/viewer/test_browser.py tests/viewer/test_browser_kinds.py

# The zip holds the wheel too, so that the plugin can make an environment with this geoseg in it.
plugin: env
	rm -rf dist/wheel
	$(BIN)/python -m build --wheel --outdir dist/wheel .
	$(BIN)/python qgis_plugin/build_plugin.py dist/geoseg_qgis.zip dist/wheel/*.whl
	@echo "dist/geoseg_qgis.zip: in QGIS, Plugins > Manage and Install Plugins > Install from ZIP"

# The documentation as a site in dist/site, which opens without a server.
docs: env
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/mkdocs build --strict

bench: env
	$(BIN)/python benchmarks/predict.py

# Known holes and licences of what is installed. It asks a package index, so it never fails.
audit: env
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet --retries 1 --timeout 10 pip-audit pip-licenses 2>/dev/null || \
	  { echo "No package index can be reached: nothing is audited"; exit 0; }
	@test ! -x $(VENV)/audit/bin/pip-audit || \
	  { $(BIN)/pip freeze --exclude-editable >$(VENV)/audit/installed.txt; \
	    $(VENV)/audit/bin/pip-audit --no-deps --disable-pip -r $(VENV)/audit/installed.txt || true; }
	@test ! -x $(VENV)/audit/bin/pip-licenses || $(VENV)/audit/bin/pip-licenses --python $(BIN)/python --order license || true

# What a release is made of, as CycloneDX.
sbom: env
	$(BIN)/python .ci/sbom.py dist/geoseg.cdx.json

clean:
	rm -rf $(VENV) out build dist *.egg-info
