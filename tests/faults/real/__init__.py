"""The whole product on the real servers, with everything that can go wrong under it.

What has to hold, and which test shows it. Each ends in `audit.audit`, which counts on the servers
themselves that work went on: every accepted job ended, every request published one version, each
stage's output is there once for a read-committed reader, every artifact has the bytes that its
reference promises; and a part that ends by itself fails the test at once (`product.all_live`).

=====================================================  ============================================
kill -9 of every stage in mid-work, gateway, projector  `test_kill`
SIGSTOP for longer than the session timeout            `test_membership`: …_stood_still_…
broker killed and restarted                            `test_outage`: kafka
rolling restart of three brokers                       `test_network`: …_rolling_restart_…
Cassandra and S3 down for 60 s                         `test_outage`: cassandra, s3
network cut, latency, resets to the broker             `test_network`: …_whatever_the_network_does
disk full: store, broker, Cassandra                    `test_disk`
a rebalance every 5 s for 2 minutes                    `test_membership`: …_storm_of_rebalances
PATCH and reprocess raced by two gateways              `test_gateways`: each with its like, and one
                                                       with the other
poison on every topic, bytes unchanged                 `test_poison`: in the letters of each stage
                                                       that reads the topic and of the projector,
                                                       which reads all
cancel, retry, SLA kill                                `test_control`: through REST;
                                                       `test_outcomes`: of the runtime alone
breaker: crashes on everything, a hundred bad songs    `test_control`: through REST;
                                                       `test_outcomes`: of the runtime alone
=====================================================  ============================================

``make test-faults`` runs all of it: ``MELISMA_FAULT_ROUNDS=10``. Less is a third of the parts, of
the servers, of the disks, of the network's faults and of the other tests, for as long as the
machine needs it (outages of 10 s, a storm of 30 s); ``MELISMA_FAULT_SEED`` says which third.
"""
