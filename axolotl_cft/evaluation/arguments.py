"""The harness's `--model_args`: which of them can change a score."""

from collections.abc import Mapping
from typing import Any

WEIGHTS = {"pretrained", "model", "tokenizer", "peft", "delta", "revision", "subfolder"}
WEIGHTS |= {"gguf_file", "lora_local_path", "enable_lora", "max_lora_rank", "max_loras"}
SECRETS = {"header", "api_key", "token", "auth_token", "hf_token"}
PLACES = {"base_url", "cache_dir", "download_dir", "offload_folder", "trust_remote_code"}
PLACES |= {"verify_certificate", "ca_cert_path", "device", "device_map", "parallelize"}
SPEED = {"batch_size", "max_batch_size", "num_concurrent", "max_retries", "timeout"}
SPEED |= {"tensor_parallel_size", "data_parallel_size", "gpu_memory_utilization", "swap_space"}
SPEED |= {"max_memory_per_gpu", "max_cpu_memory", "low_cpu_mem_usage"}


def deciding(given: Mapping[str, Any]) -> dict[str, str]:
    """The arguments that decide scores: weights and how they are used, not where and how fast.

    What answers at `base_url` may be another model, so it stays.
    """
    idle = SECRETS | SPEED | PLACES - {"base_url"}
    return {key: str(value) for key, value in given.items() if key not in idle}
