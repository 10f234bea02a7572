"""The log on Apache Kafka, 4.0 or newer, through confluent-kafka (the extra ``kafka``).

`log.KafkaLog` is the log, `settings.KafkaSettings` says where the cluster is; the latter is there
without the client, too.
"""
