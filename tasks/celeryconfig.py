"""Every Celery setting of llmq, with its reason. The Redis comes from LLMQ_REDIS_URL or is llmq's own."""

broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker outlives any outage of Redis
broker_channel_error_retry = True  # and a Redis that is full or a replica when it connects again
broker_transport_options = {
    "queue_order_strategy": "priority",  # BRPOP in the order given: a retry queue before its queue
    # A half-open connection is noticed, not waited on. Celery's events are sent from the loop that also
    # takes messages, and wait for a dead connection: with 30 s a worker took work again 77 s after a network
    # that was gone for 40 s came back, with 5 s after 7.
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 5,
    # Redeliveries after the visibility timeout meet a claim that refuses them; sweep them in small bites.
    "unacked_restore_limit": 100,
}
result_backend_always_retry = True

accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
result_accept_content = ["json"]

imports = ["tasks.complete"]
task_ignore_result = True  # the ledger's commit writes the results, under Celery's own keys
task_acks_late = True  # with prefetch 1: never hoards, and measured without idle slots
worker_prefetch_multiplier = 1
worker_consumer = "tasks.consumer:FleetConsumer"  # events leave in batches
worker_pool = "threads"  # a slot waits for an engine; nothing here needs a core
worker_send_task_events = True  # Flower sees tasks and workers
worker_hijack_root_logger = True
worker_cancel_long_running_tasks_on_connection_loss = False  # threads cannot be killed
task_default_queue = "llmq.any"
