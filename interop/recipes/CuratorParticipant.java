import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.StandardLockInternalsDriver;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/**
 * Takes part in recipes with Curator, as it is told line by line; see {@code run} for what it is told.
 *
 * <p>Usage: {@code CuratorParticipant ADDRESS NAME SESSION_MS}. With znodes named as Curator names them,
 * the recipes are used as they are. Its mutex can be given a driver, and has kazoo's names with {@link
 * KazooNames}; the others can not.
 */
final class CuratorParticipant {
    private static final int CONNECT_TIMEOUT_MS = 10_000;
    /** How many hold a semaphore; the other participants know it, too. */
    private static final int PERMITS = 2;

    private final CuratorFramework client;
    private final String name;
    private final Map<String, CountDownLatch> signals = new ConcurrentHashMap<>();

    private CuratorParticipant(CuratorFramework client, String name) {
        this.client = client;
        this.name = name;
    }

    public static void main(String[] words) throws Exception {
        CuratorFramework client =
                CuratorFrameworkFactory.builder()
                        .connectString(words[0])
                        .sessionTimeoutMs(Integer.parseInt(words[2]))
                        .connectionTimeoutMs(CONNECT_TIMEOUT_MS)
                        .retryPolicy(new RetryNTimes(3, 100))
                        .build();
        client.start();
        client.blockUntilConnected();
        say("\"id\": \"\", \"event\": \"ready\"");
        CuratorParticipant participant = new CuratorParticipant(client, words[1]);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            participant.told(line.split(" "));
        }
        client.close();
        System.exit(0);
    }

    private static synchronized void say(String fields) {
        System.out.println("{" + fields + "}");
        System.out.flush();
    }

    private static void report(String number, String event, String fields) {
        say(String.format("\"id\": \"%s\", \"event\": \"%s\"%s", number, event, fields));
    }

    private static void report(String number, String event, long at) {
        report(number, event, ", \"at\": " + at);
    }

    /** Begins something in a thread of its own, or lets what has begun go on. */
    private void told(String[] words) {
        String number = words[0];
        if (words[1].equals("go")) {
            signals.get(number).countDown();
            return;
        }
        CountDownLatch go = new CountDownLatch(1);
        signals.put(number, go);
        Thread thread =
                new Thread(
                        () -> {
                            try {
                                take(words, go);
                                report(number, "done", "");
                            } catch (Exception failure) {
                                String text = failure.toString().replace('"', '\'').replace('\n', ' ');
                                report(number, "failed", ", \"failure\": \"" + text + "\"");
                            }
                        });
        thread.setDaemon(true);
        thread.start();
    }

    private void take(String[] words, CountDownLatch go) throws Exception {
        String number = words[0];
        switch (words[1]) {
            case "hold":
                for (int i = 0; i < Integer.parseInt(words[5]); i++) {
                    turn(number, words[2], words[3], words[4], (token, since) -> {});
                }
                break;
            case "acquire":
                turn(number, words[2], words[3], words[4], (token, since) -> {
                    report(number, "acquired", ", \"token\": " + token + ", \"since\": " + since);
                    go.await();
                });
                break;
            case "meet":
                meet(number, go, words[2], Integer.parseInt(words[3]));
                break;
            case "count":
                count(words[2], Integer.parseInt(words[3]));
                break;
            case "put":
                put(words[3], Integer.parseInt(words[4]));
                break;
            case "work":
                work(words[3], item -> took(number, item), go);
                break;
            case "grab":
                work(words[3], item -> {
                    took(number, item);
                    go.await();
                }, go);
                break;
            default:
                throw new IllegalArgumentException(words[1]);
        }
    }

    private static void took(String number, String item) {
        report(number, "took", ", \"item\": \"" + item + "\"");
    }

    // ---- turns --------------------------------------------------------------------------------

    /** What is done in one's turn. */
    private interface Body {
        void run(long token, long since) throws Exception;
    }

    private void turn(String number, String kind, String naming, String path, Body body) throws Exception {
        switch (kind) {
            case "lock":
                locked(number, mutex(naming, path), "lock", path, body);
                break;
            case "read":
                locked(number, new InterProcessReadWriteLock(client, path).readLock(), "__READ__", path, body);
                break;
            case "write":
                locked(number, new InterProcessReadWriteLock(client, path).writeLock(), "__WRIT__", path, body);
                break;
            case "lease":
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, path, PERMITS);
                try (Lease lease = semaphore.acquire()) {
                    whole(number, path + "/leases/" + lease.getNodeName(), path, body);
                }
                break;
            case "latch":
                try (LeaderLatch latch = new LeaderLatch(client, path, name)) {
                    latch.start();
                    latch.await();
                    whole(number, latch.getOurPath(), path, body);
                }
                break;
            case "selector":
                selected(number, path, body);
                break;
            default:
                throw new IllegalArgumentException(kind);
        }
    }

    private InterProcessMutex mutex(String naming, String path) {
        return naming.equals("kazoo")
                ? new InterProcessMutex(client, path, new KazooNames())
                : new InterProcessMutex(client, path);
    }

    private void locked(String number, InterProcessLock lock, String mark, String path, Body body)
            throws Exception {
        lock.acquire();
        try {
            whole(number, own(path, mark), path, body);
        } finally {
            lock.release();
        }
    }

    private void selected(String number, String path, Body body) throws Exception {
        CountDownLatch led = new CountDownLatch(1);
        LeaderSelectorListenerAdapter listener =
                new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework ignored) throws Exception {
                        try {
                            whole(number, own(path, "lock"), path, body);
                        } finally {
                            led.countDown();
                        }
                    }

                    @Override
                    public void stateChanged(CuratorFramework ignored, ConnectionState state) {
                        // A connection is lost only when this program is killed.
                    }
                };
        try (LeaderSelector selector = new LeaderSelector(client, path, listener)) {
            selector.start();
            led.await();
        }
    }

    private void whole(String number, String znode, String path, Body body) throws Exception {
        long token = client.checkExists().forPath(znode).getCzxid();
        long since = note(path);
        body.run(token, since);
        report(number, "held", String.format(
                ", \"token\": %d, \"since\": %d, \"until\": %d", token, since, note(path)));
    }

    /** Returns this session's znode in a directory, of those with that in their names. */
    private String own(String directory, String mark) throws Exception {
        long session = client.getZookeeperClient().getZooKeeper().getSessionId();
        for (String child : client.getChildren().forPath(directory)) {
            String path = directory + "/" + child;
            Stat stat = client.checkExists().forPath(path);
            if (child.contains(mark) && stat != null && stat.getEphemeralOwner() == session) {
                return path;
            }
        }
        throw new IllegalStateException("nothing of its own in " + directory);
    }

    /** Returns the transaction of a note in the journal. */
    private long note(String path) throws Exception {
        return client.setData().forPath(path + "-journal", name.getBytes(StandardCharsets.UTF_8)).getMzxid();
    }

    // ---- barriers, counters and queues --------------------------------------------------------

    private void meet(String number, CountDownLatch go, String path, int count) throws Exception {
        DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(client, path, count);
        report(number, "came", note(path));
        barrier.enter();
        report(number, "entered", note(path));
        go.await();
        report(number, "leaving", note(path));
        barrier.leave();
        report(number, "left", note(path));
    }

    private void count(String path, int count) throws Exception {
        DistributedAtomicLong counter = new DistributedAtomicLong(client, path, new RetryNTimes(0, 0));
        for (int added = 0; added < count; ) {
            // Without success nothing was added: somebody else was faster.
            added += counter.increment().succeeded() ? 1 : 0;
        }
    }

    private void put(String path, int count) throws Exception {
        try (DistributedQueue<String> queue = builder(path, null).buildQueue()) {
            queue.start();
            for (int item = 0; item < count; item++) {
                queue.put(name + "-" + item);
            }
        }
    }

    /** What is done with an item. */
    private interface Work {
        void on(String item) throws Exception;
    }

    private void work(String path, Work work, CountDownLatch go) throws Exception {
        Hands hands = new Hands();
        try (DistributedQueue<String> queue = builder(path, consumer(work)).executor(hands).buildQueue()) {
            queue.start();
            go.await();
            hands.rest();
        }
    }

    private QueueBuilder<String> builder(String path, QueueConsumer<String> consumer) {
        return QueueBuilder.builder(client, consumer, new Text(), path + "/entries")
                .lockPath(path + "/taken")
                .putInBackground(false);
    }

    private static QueueConsumer<String> consumer(Work work) {
        return new QueueConsumer<>() {
            @Override
            public void consumeMessage(String item) throws Exception {
                work.on(item);
            }

            @Override
            public void stateChanged(CuratorFramework ignored, ConnectionState state) {
                // A connection is lost only when this program is killed.
            }
        };
    }

    /** Works on one item at a time, and finishes it: a queue that is closed meanwhile leaves its mark. */
    private static final class Hands implements Executor {
        private boolean isOver;

        @Override
        public synchronized void execute(Runnable item) {
            if (!isOver) {
                item.run();
            }
        }

        /** Waits until nothing is worked on, and takes nothing anymore. */
        synchronized void rest() {
            isOver = true;
        }
    }

    /** Items are texts. */
    private static final class Text implements QueueSerializer<String> {
        @Override
        public byte[] serialize(String item) {
            return item.getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public String deserialize(byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }

    /** Gives a mutex the names that kazoo gives its locks. */
    private static final class KazooNames extends StandardLockInternalsDriver {
        private static final String KIND = "__lock__";

        @Override
        public String createsTheLock(CuratorFramework client, String path, byte[] data) throws Exception {
            String directory = path.substring(0, path.lastIndexOf('/'));
            return client.create()
                    .creatingParentContainersIfNeeded()
                    .withProtection()
                    .withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                    .forPath(directory + "/" + KIND);
        }

        @Override
        public String fixForSorting(String name, String ignored) {
            return standardFixForSorting(name, KIND);
        }
    }
}
