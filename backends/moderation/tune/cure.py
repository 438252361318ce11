"""model-analyzer with two cures for searches over BLS models. Run by Model Analyzer's own Python, with its arguments.

Needed in releases 1.46.0 to 1.58.0, found by measurement. Model Analyzer names a BLS run after the variant of the
measured model alone. When only a composing model changes,

- `MetricsManager.execute_run_config` sees the same name and loads nothing, so the measurement is of the previous
  settings, and
- results of different settings are filed under one name, and reports name the wrong ones.

A variant name that is unique for each combination cures both. The second cure: a model with max_batch_size 0 gets a
default concurrency of 2·0·instances = 0, with which the report of the default configuration fails.
"""

from __future__ import annotations

import sys
from typing import Any

from model_analyzer.config.generate.optuna_run_config_generator import OptunaRunConfigGenerator
from model_analyzer.config.generate.quick_run_config_generator import QuickRunConfigGenerator
from model_analyzer.config.run.model_run_config import ModelRunConfig
from model_analyzer.entrypoint import main
from model_analyzer.triton.model.model_config_variant import ModelConfigVariant

_add = ModelRunConfig.add_composing_model_config_variants


def _add_with_unique_name(self: Any, variants: Any) -> None:
    _add(self, variants)
    own = self._model_config_variant
    names = [variant.variant_name for variant in self._composing_config_variants]
    if not self.is_bls_model() or all(name.endswith("_config_default") for name in (own.variant_name, *names)):
        return  # the default is looked up by its name
    tail = "".join("+" + name.replace("_config_", ".") for name in names)
    self._model_config_variant = ModelConfigVariant(own.model_config, own.variant_name + tail, own.cpu_only)


def _concurrency(self: Any, config: Any) -> int:
    instances = config.instance_group_count(system_gpu_count=self._gpu_count)
    return int(2 * max(1, config.max_batch_size()) * max(1, instances))


ModelRunConfig.add_composing_model_config_variants = _add_with_unique_name
OptunaRunConfigGenerator._calculate_default_concurrency = _concurrency
QuickRunConfigGenerator._calculate_default_concurrency = _concurrency

if __name__ == "__main__":
    sys.exit(main())
