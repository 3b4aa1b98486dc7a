"""The columns of one request (docs/metrics.md): names, order, and what each holds. No values here."""

from dataclasses import fields

from tasks.result import Result

SCHEMA_VERSION = 1  # another one where a column goes, or comes to mean something else

_KINDS = {"s": str, "i": int, "f": float, "b": bool}


def _typed(text: str) -> dict[str, type]:
    """`name:kind` after `name:kind`, s where none is said."""
    pairs = (word.partition(":") for word in text.split())
    return {name: _KINDS[kind or "s"] for name, _, kind in pairs}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# One row a request, in the order of requests.csv.
TYPES = _typed("""
    schema_version:i run_id request_id phase repeat_index:i request_index:i seed:i host worker engine
    engine_version base_url model model_digest quantization context_length:i stage pair_id load_mode
    concurrency:i target_rps:f target_prompt_tokens:i prompt_id prompt_sha256 max_tokens:i temperature:f
    cache_bust:b
    scheduled_at enqueued_at started_at first_token_at last_token_at finished_at queue_wait_s:f
    dispatch_delay_s:f connect_ms:f network_s:f ttft_ms:f ttfo_ms:f ttfr_ms:f itl_ms:f
    max_chunk_gap_ms:f chunk_count:i e2e_latency_s:f stream_end_s:f e2e_scheduled_latency_s:f
    prompt_tokens:i completion_tokens:i reasoning_tokens:i cached_tokens:i token_count_source
    output_tps:f e2e_output_tps:f server_load_s:f server_prompt_eval_s:f server_eval_s:f
    server_total_s:f server_prefill_tps:f server_decode_tps:f mem_rss_mib_peak:f
    mem_system_used_mib_peak:f mem_system_delta_mib:f mem_model_mib:f vram_used_mib_peak:f mem_source
    power_w_mean:f energy_j:f energy_source throttled:b temp_c_max:f cpu_client_pct:f
    cpu_wait_ms:f client_saturated:b status error_type http_status:i attempts:i finish_reason simulated:b
    cut:b windows:i reused_from item_id parent paper_id clock_offset_s:f energy_every_s:f
    time_scale:f wakeup_latency_ms:f
""")
REQUEST = tuple(TYPES)

# What other parts of a result's row say already, under the same names; the rest are its metrics.
ELSEWHERE = _words("""
    seed host engine engine_version model model_digest stage prompt_sha256 max_tokens temperature
    error_type attempts finish_reason simulated cut windows reused_from item_id parent
    paper_id
""")
OF_RESULT = tuple(
    field.name
    for field in fields(Result)
    if field.name in ELSEWHERE and field.name not in ("host", "model", "item_id")
)
# The metrics in the order of results.csv: first those that it has always had.
_OLDEST = _words("""
    queue_wait_s started_at connect_ms ttft_ms ttfo_ms itl_ms e2e_latency_s stream_end_s prompt_tokens
    cached_tokens completion_tokens reasoning_tokens token_count_source output_tps e2e_output_tps
    server_load_s server_prompt_eval_s server_eval_s server_total_s context_length
""")
METRICS = (*_OLDEST, *(name for name in REQUEST if name not in ELSEWHERE and name not in _OLDEST))
# Metrics that no result keeps: each row finds them anew.
COMPUTED = frozenset(
    _words("""
    schema_version run_id request_id request_index base_url prompt_id pair_id first_token_at output_tps
    e2e_output_tps client_saturated status
""")
)
