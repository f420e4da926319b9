//! Every metric of a server, by the names that Apache gives them.

use crate::metrics::{AdvancedSummary, Counter, Summary};

macro_rules! metrics {
    (
        counters { $($(#[doc = $counter_doc:literal])* $counter:ident;)* }
        summaries { $($(#[doc = $summary_doc:literal])* $summary:ident;)* }
        advanced_summaries { $($(#[doc = $advanced_doc:literal])* $advanced:ident;)* }
    ) => {
        /// Every metric of a server. The fields have the names that operators see, without `zk_`.
        ///
        /// Those that describe parts which only Apache's server or a member of an ensemble has stay
        /// 0: dashboards ask for them all.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $counter_doc])* pub $counter: Counter,)*
            $($(#[doc = $summary_doc])* pub $summary: Summary,)*
            $($(#[doc = $advanced_doc])* pub $advanced: AdvancedSummary,)*
        }

        impl Metrics {
            /// Forgets everything (`srst`).
            pub fn reset(&self) {
                $(self.$counter.reset();)*
                $(self.$summary.reset();)*
                $(self.$advanced.reset();)*
            }

            /// The counters with their names.
            pub fn counters(&self) -> impl Iterator<Item = (&'static str, &Counter)> {
                [$((stringify!($counter), &self.$counter),)*].into_iter()
            }

            /// The summaries with their names.
            pub fn summaries(&self) -> impl Iterator<Item = (&'static str, &Summary)> {
                [$((stringify!($summary), &self.$summary),)*].into_iter()
            }

            /// The summaries with quantiles, with their names.
            pub fn advanced_summaries(
                &self,
            ) -> impl Iterator<Item = (&'static str, &AdvancedSummary)> {
                [$((stringify!($advanced), &self.$advanced),)*].into_iter()
            }
        }
    };
}

metrics! {
    counters {
        /// Snapshots that failed.
        snapshot_error_count;
        /// Requested snapshots that came too soon after the last.
        snapshot_rate_limited_count;
        /// Restorations that failed.
        restore_error_count;
        /// Requested restorations that came too soon after the last.
        restore_rate_limited_count;
        /// Elections entered.
        looking_count;
        /// Learners brought up to date by proposals.
        diff_count;
        /// Learners brought up to date by a snapshot.
        snap_count;
        /// Proposals committed as a leader.
        commit_count;
        /// Connections that asked for a session.
        connection_request_count;
        /// Connections refused for the limits on their number.
        connection_rejected;
        /// Bytes received from clients.
        bytes_received_count;
        /// Errors that end the process.
        unrecoverable_error_count;
        /// Milliseconds spent on waiting for the removal of closed connections' watches.
        add_dead_watcher_stall_time;
        /// Closed connections whose watches are to be removed.
        dead_watchers_queued;
        /// Closed connections whose watches were removed.
        dead_watchers_cleared;
        /// `getData` replies taken from a cache.
        response_packet_cache_hits;
        /// `getData` replies not found in a cache.
        response_packet_cache_misses;
        /// `getChildren2` replies taken from a cache.
        response_packet_get_children_cache_hits;
        /// `getChildren2` replies not found in a cache.
        response_packet_get_children_cache_misses;
        /// Clients that named this ensemble.
        ensemble_auth_success;
        /// Clients that named another ensemble.
        ensemble_auth_fail;
        /// Clients that named an ensemble while this one has no name.
        ensemble_auth_skip;
        /// Requests handed to the owner of writes.
        prep_processor_request_queued;
        /// Changes decided.
        outstanding_changes_queued;
        /// Changes decided and applied.
        outstanding_changes_removed;
        /// Sessions asked about on behalf of a learner.
        revalidate_count;
        /// Connections refused to throttle them.
        connection_drop_count;
        /// Sessions that were resumed.
        connection_revalidate_count;
        /// Connections closed since they opened no session in time.
        sessionless_connections_expired;
        /// Sessions that expired.
        stale_sessions_expired;
        /// Requests handed on to wait for their commit.
        request_commit_queued;
        /// Requests refused as throttled.
        throttled_ops;
        /// Proposals received as a learner.
        learner_proposal_received_count;
        /// Commits received as a learner.
        learner_commit_received_count;
        /// Requests handed to the log.
        sync_processor_request_queued;
        /// Proposals made as a leader.
        proposal_count;
        /// Leaderships given up since a voter turned away.
        quit_leading_due_to_disloyal_voter;
        /// Requests that were stale when their turn came.
        stale_requests;
        /// Of those, dropped ones.
        stale_requests_dropped;
        /// Replies to connections that were gone.
        stale_replies;
        /// Requests delayed by the throttle.
        request_throttle_wait_count;
        /// Requests refused for being large.
        large_requests_rejected;
        /// Transactions after which the tree's digest was not the leader's.
        digest_mismatches_count;
        /// TLS handshakes that failed.
        unsuccessful_handshake;
        /// Requests without TLS to the administration server.
        insecure_admin_count;
        /// Connections closed for the limit on TLS handshakes under way.
        tls_handshake_exceeded;
        /// Connections closed since the server was not serving.
        cnxn_closed_without_zk_server_running;
        /// Learners' requests that skipped the commit processor.
        skip_learner_request_to_next_processor_count;
        /// Requests not handed on to the commit processor.
        requests_not_forwarded_to_commit_processor;
        /// Bytes of replies.
        response_bytes;
        /// Bytes of watch events.
        watch_bytes;
    }
    summaries {
        /// Milliseconds of a sync of the log.
        fsynctime;
        /// Milliseconds of a snapshot.
        snapshottime;
        /// Milliseconds of a restoration.
        restore_time;
        /// Milliseconds of loading the tree at the start.
        dbinittime;
        /// Milliseconds of bringing a follower up to date.
        follower_sync_time;
        /// Milliseconds of bringing an observer up to date.
        observer_sync_time;
        /// Milliseconds of an election.
        election_time;
        /// Tokens that the throttle of connections was short of.
        connection_token_deficit;
        /// Learners brought up to date by a snapshot at once.
        inflight_snap_count;
        /// Learners brought up to date by proposals at once.
        inflight_diff_count;
        /// Watches fired by a creation.
        node_created_watch_count;
        /// Watches fired by a deletion.
        node_deleted_watch_count;
        /// Watches fired by a change of data.
        node_changed_watch_count;
        /// Watches fired by a change of children.
        node_children_watch_count;
        /// Requests that wait for the owner of writes.
        prep_processor_queue_size;
        /// Milliseconds of deciding a write.
        prep_process_time;
        /// Milliseconds of proposing a write.
        proposal_process_time;
        /// Milliseconds without a leader.
        unavailable_time;
        /// Milliseconds without a leader, on the one elected next.
        leader_unavailable_time;
        /// Requests of a session that wait for one of its writes.
        requests_in_session_queue;
        /// Sessions with waiting requests.
        pending_session_queue_size;
        /// Reads that waited behind a write.
        reads_after_write_in_session_queue;
        /// Reads let go after a write.
        reads_issued_from_session_queue;
        /// Sessions whose waiting requests were all let go.
        session_queues_drained;
        /// Milliseconds of waiting for reads to finish before a write.
        time_waiting_empty_pool_in_commit_processor_read_ms;
        /// Milliseconds of a batch of writes.
        write_batch_time_in_commit_processor;
        /// Requests processed at once.
        concurrent_request_processing_in_commit_processor;
        /// Reads in the commit processor's queue.
        read_commit_proc_req_queued;
        /// Writes in the commit processor's queue.
        write_commit_proc_req_queued;
        /// Commits in the commit processor's queue.
        commit_commit_proc_req_queued;
        /// Reads issued by the commit processor at once.
        read_commit_proc_issued;
        /// Writes issued by the commit processor at once.
        write_commit_proc_issued;
        /// Milliseconds of handing on a commit.
        commit_process_time;
        /// Transactions replayed at the start.
        startup_txns_loaded;
        /// Milliseconds of replaying them.
        startup_txns_load_time;
        /// Milliseconds of loading the snapshot at the start.
        startup_snap_load_time;
        /// Writes that wait for the log.
        sync_processor_queue_size;
        /// Milliseconds of handing a write to the log.
        sync_process_time;
        /// Writes that one sync of the log makes durable.
        sync_processor_batch_size;
        /// Bytes that Netty has buffered.
        netty_queued_buffer_capacity;
        /// Requests that wait in a learner's first processor.
        learner_request_processor_queue_size;
        /// Milliseconds of closing a learner's socket.
        socket_closing_time;
    }
    advanced_summaries {
        /// Milliseconds from a read's arrival to its reply.
        readlatency;
        /// Milliseconds from a write's arrival to its reply.
        updatelatency;
        /// Milliseconds from a write's decision to its application.
        propagation_latency;
        /// Milliseconds of removing closed connections' watches.
        dead_watchers_cleaner_latency;
        /// Milliseconds that a write waits for its owner.
        prep_processor_queue_time_ms;
        /// Milliseconds of preparing the end of a session.
        close_session_prep_time;
        /// Milliseconds that a read waits behind writes.
        read_commitproc_time_ms;
        /// Milliseconds that a write waits for its commit.
        write_commitproc_time_ms;
        /// Milliseconds from the arrival of a local write to its commit.
        local_write_committed_time_ms;
        /// Milliseconds from the arrival of any write to its commit.
        server_write_committed_time_ms;
        /// Milliseconds of an observer master's proposal.
        om_proposal_process_time_ms;
        /// Milliseconds of an observer master's commit.
        om_commit_process_time_ms;
        /// Milliseconds of answering a read.
        read_final_proc_time_ms;
        /// Milliseconds of applying and answering a write.
        write_final_proc_time_ms;
        /// Milliseconds from a proposal to its quorum.
        proposal_latency;
        /// Milliseconds from a proposal to its acknowledgement by this server.
        proposal_ack_creation_latency;
        /// Milliseconds from a leader's commit to this server's.
        commit_propagation_latency;
        /// Milliseconds from the log's queue to disk.
        sync_processor_queue_and_flush_time_ms;
        /// Milliseconds that a write waits for the log.
        sync_processor_queue_time_ms;
        /// Milliseconds of writing and syncing a batch.
        sync_processor_queue_flush_time_ms;
        /// Milliseconds from a proposal to the last acknowledgement its quorum needs.
        quorum_ack_latency;
        /// Milliseconds that a request is delayed by the throttle.
        request_throttle_queue_time_ms;
        /// Milliseconds that the Java virtual machine paused.
        jvm_pause_time_ms;
    }
}
