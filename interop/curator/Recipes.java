import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.utils.CloseableUtils;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.Stat;

/**
 * Exercises a server through Curator's framework and recipes, unmodified.
 *
 * <p>Usage: {@code Recipes HOST:PORT}. Reports in the Test Anything Protocol on standard output. Each
 * scenario works below a directory of its own; one that throws counts as a failed check.
 */
final class Recipes {
    private static final int WAIT_SECONDS = 20;
    private static final int SESSION_TIMEOUT_MS = 15_000;
    private static final byte[] EMPTY = {};

    private final String address;
    private int checks;

    private Recipes(String address) {
        this.address = address;
    }

    public static void main(String[] words) {
        Recipes recipes = new Recipes(words[0]);
        recipes.runAll();
        System.out.println("1.." + recipes.checks);
        System.out.flush();
        // Some recipes of this version leave threads behind that are not daemons.
        System.exit(0);
    }

    private interface Scenario {
        void run(CuratorFramework client) throws Exception;
    }

    private void runAll() {
        scenario("nodes", this::nodes);
        scenario("background", this::background);
        scenario("transactions", this::transactions);
        scenario("access", this::access);
        scenario("mutex", this::mutex);
        scenario("read-write lock", this::readWriteLock);
        scenario("semaphore", this::semaphore);
        scenario("multi lock", this::multiLock);
        scenario("leader latch", this::leaderLatch);
        scenario("leader selector", this::leaderSelector);
        scenario("barrier", this::barrier);
        scenario("double barrier", this::doubleBarrier);
        scenario("counters", this::counters);
        scenario("curator cache", this::curatorCache);
        scenario("older caches", this::olderCaches);
        scenario("persistent watcher", this::persistentWatcher);
        scenario("queues", this::queues);
        scenario("simple queue", this::simpleQueue);
        scenario("persistent ephemeral node", this::persistentNode);
        scenario("group member", this::groupMember);
        scenario("takeover", this::takeover);
    }

    private void scenario(String name, Scenario scenario) {
        try (CuratorFramework client = connect()) {
            scenario.run(client);
        } catch (Exception | AssertionError failure) {
            failure.printStackTrace();
            check(false, name + " runs to its end (" + failure + ")");
        }
    }

    private CuratorFramework connect() {
        CuratorFramework client =
                CuratorFrameworkFactory.builder()
                        .connectString(address)
                        .sessionTimeoutMs(SESSION_TIMEOUT_MS)
                        .connectionTimeoutMs(SESSION_TIMEOUT_MS)
                        .retryPolicy(new RetryNTimes(3, 100))
                        .build();
        client.start();
        return client;
    }

    private void check(boolean holds, String name) {
        checks++;
        System.out.println((holds ? "ok " : "not ok ") + checks + " - " + name);
        System.out.flush();
    }

    private void checkEventually(Callable<Boolean> condition, String name) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
        while (!condition.call() && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        check(condition.call(), name);
    }

    private void checkThrows(
            Class<? extends Exception> expected, Callable<?> action, String name) {
        Class<?> thrown = null;
        try {
            action.call();
        } catch (Exception exception) {
            thrown = exception.getClass();
        }
        check(thrown == expected, name + " throws " + expected.getSimpleName());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] data) {
        return new String(data, StandardCharsets.UTF_8);
    }

    private static List<String> sorted(List<String> names) {
        List<String> copy = new ArrayList<>(names);
        Collections.sort(copy);
        return copy;
    }

    // ---- the framework ------------------------------------------------------------------------

    private void nodes(CuratorFramework client) throws Exception {
        client.create().creatingParentsIfNeeded().forPath("/nodes/a/b", bytes("one"));
        check(text(client.getData().forPath("/nodes/a/b")).equals("one"), "data comes back");
        Stat stat = client.setData().withVersion(0).forPath("/nodes/a/b", bytes("two"));
        check(stat.getVersion() == 1 && stat.getDataLength() == 3, "setData returns the Stat");
        checkThrows(
                KeeperException.BadVersionException.class,
                () -> client.setData().withVersion(0).forPath("/nodes/a/b", EMPTY),
                "setData of a stale version");
        checkThrows(
                KeeperException.NodeExistsException.class,
                () -> client.create().forPath("/nodes/a"),
                "create of an existing node");
        client.create().orSetData().forPath("/nodes/a/b", bytes("three"));
        check(text(client.getData().forPath("/nodes/a/b")).equals("three"), "create or set sets");

        Stat created = new Stat();
        String name =
                client.create()
                        .storingStatIn(created)
                        .withProtection()
                        .withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                        .forPath("/nodes/a/s-");
        long session = client.getZookeeperClient().getZooKeeper().getSessionId();
        check(name.endsWith("s-0000000001"), "a protected sequential node is numbered");
        check(created.getEphemeralOwner() == session, "an ephemeral node names its session");

        client.create().creatingParentContainersIfNeeded().forPath("/nodes/containers/x");
        check(client.checkExists().forPath("/nodes/containers").getEphemeralOwner() == 0, "containers");
        client.create().withTtl(60_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/nodes/ttl");
        check(client.checkExists().forPath("/nodes/ttl") != null, "nodes with a time to live");
        check(client.checkExists().forPath("/nodes/none") == null, "exists of a missing node");
        check(
                sorted(client.getChildren().forPath("/nodes")).equals(List.of("a", "containers", "ttl")),
                "children are listed");
        check(
                client.getZookeeperClient().getZooKeeper().getAllChildrenNumber("/nodes") == 6,
                "descendants are counted");
        check(
                client.getZookeeperClient().getZooKeeper().getEphemerals().equals(List.of(name)),
                "a session lists its ephemeral nodes");
        client.delete().guaranteed().deletingChildrenIfNeeded().forPath("/nodes");
        check(client.checkExists().forPath("/nodes") == null, "a subtree is deleted");
    }

    private void background(CuratorFramework client) throws Exception {
        int count = 1000;
        CountDownLatch done = new CountDownLatch(count);
        AtomicInteger failures = new AtomicInteger();
        client.create().forPath("/background");
        for (int i = 0; i < count; i++) {
            client.create()
                    .inBackground(
                            (ignored, event) -> {
                                if (event.getResultCode() != 0) {
                                    failures.incrementAndGet();
                                }
                                done.countDown();
                            })
                    .forPath("/background/" + i);
        }
        check(done.await(WAIT_SECONDS, TimeUnit.SECONDS), "a thousand background creates end");
        check(failures.get() == 0, "none of them fails");
        check(client.getChildren().forPath("/background").size() == count, "all of them are there");
        CountDownLatch synced = new CountDownLatch(1);
        client.sync().inBackground((ignored, event) -> synced.countDown()).forPath("/background");
        check(synced.await(WAIT_SECONDS, TimeUnit.SECONDS), "sync is answered");
    }

    private void transactions(CuratorFramework client) throws Exception {
        List<CuratorTransactionResult> results =
                client.transaction()
                        .forOperations(
                                client.transactionOp().create().forPath("/transactions", bytes("a")),
                                client.transactionOp().create().forPath("/transactions/x"),
                                client.transactionOp().setData().forPath("/transactions", bytes("b")),
                                client.transactionOp().check().withVersion(1).forPath("/transactions"),
                                client.transactionOp().delete().forPath("/transactions/x"));
        check(results.size() == 5, "a transaction of five operations has five results");
        check(results.get(0).getResultPath().equals("/transactions"), "the first tells its path");
        check(results.get(2).getResultStat().getVersion() == 1, "the third tells its Stat");
        checkThrows(
                KeeperException.NoNodeException.class,
                () ->
                        client.transaction()
                                .forOperations(
                                        client.transactionOp().create().forPath("/transactions/y"),
                                        client.transactionOp().delete().forPath("/transactions/none")),
                "a transaction with an impossible part");
        check(client.checkExists().forPath("/transactions/y") == null, "nothing of it remains");
    }

    private void access(CuratorFramework stranger) throws Exception {
        try (CuratorFramework owner =
                CuratorFrameworkFactory.builder()
                        .connectString(address)
                        .retryPolicy(new RetryNTimes(3, 100))
                        .authorization("digest", bytes("kim:secret"))
                        .build()) {
            owner.start();
            owner.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/access", bytes("s"));
            check(text(owner.getData().forPath("/access")).equals("s"), "the creator reads");
            checkThrows(
                    KeeperException.NoAuthException.class,
                    () -> stranger.getData().forPath("/access"),
                    "reading by a stranger");
            String id = owner.getACL().forPath("/access").get(0).getId().getId();
            check(id.startsWith("kim:"), "the ACL names the creator");
            owner.setACL().withVersion(0).withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath("/access");
            check(text(stranger.getData().forPath("/access")).equals("s"), "a stranger reads once it may");
            checkThrows(
                    KeeperException.NoAuthException.class,
                    () -> stranger.setData().forPath("/access", EMPTY),
                    "writing by a stranger");
            List<String> users = new ArrayList<>();
            owner.getZookeeperClient()
                    .getZooKeeper()
                    .whoAmI()
                    .forEach(info -> users.add(info.getAuthScheme() + ":" + info.getUser()));
            check(sorted(users).equals(List.of("digest:kim", "ip:127.0.0.1")), "whoAmI");
        }
    }

    // ---- locks --------------------------------------------------------------------------------

    private void mutex(CuratorFramework client) throws Exception {
        int contenders = 6;
        int rounds = 10;
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        AtomicInteger entered = new AtomicInteger();
        ExecutorService threads = Executors.newFixedThreadPool(contenders);
        List<Future<Void>> all = new ArrayList<>();
        for (int i = 0; i < contenders; i++) {
            all.add(
                    threads.submit(
                            () -> {
                                try (CuratorFramework own = connect()) {
                                    InterProcessMutex lock = new InterProcessMutex(own, "/mutex");
                                    for (int round = 0; round < rounds; round++) {
                                        lock.acquire();
                                        most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                                        entered.incrementAndGet();
                                        inside.decrementAndGet();
                                        lock.release();
                                    }
                                }
                                return null;
                            }));
        }
        for (Future<Void> one : all) {
            one.get(2 * WAIT_SECONDS, TimeUnit.SECONDS);
        }
        threads.shutdown();
        check(entered.get() == contenders * rounds, "all contenders get the mutex in turn");
        check(most.get() == 1, "one holds it at a time");

        InterProcessMutex lock = new InterProcessMutex(client, "/mutex");
        try (CuratorFramework dying = connect()) {
            new InterProcessMutex(dying, "/mutex").acquire();
            check(!lock.acquire(200, TimeUnit.MILLISECONDS), "a held mutex times out");
        }
        check(lock.acquire(WAIT_SECONDS, TimeUnit.SECONDS), "a mutex is freed with its session");
        lock.acquire();
        lock.release();
        check(lock.isOwnedByCurrentThread(), "a mutex can be entered again by its holder");
        lock.release();
        InterProcessSemaphoreMutex plain = new InterProcessSemaphoreMutex(client, "/mutex-plain");
        plain.acquire();
        check(
                !new InterProcessSemaphoreMutex(client, "/mutex-plain").acquire(100, TimeUnit.MILLISECONDS),
                "the mutex that can not be entered twice");
        plain.release();
    }

    private void readWriteLock(CuratorFramework client) throws Exception {
        try (CuratorFramework other = connect()) {
            InterProcessReadWriteLock one = new InterProcessReadWriteLock(client, "/rw");
            InterProcessReadWriteLock two = new InterProcessReadWriteLock(other, "/rw");
            one.readLock().acquire();
            check(two.readLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "readers share");
            two.readLock().release();
            check(!two.writeLock().acquire(200, TimeUnit.MILLISECONDS), "a writer waits for readers");
            one.readLock().release();
            check(two.writeLock().acquire(WAIT_SECONDS, TimeUnit.SECONDS), "a writer enters alone");
            check(!one.readLock().acquire(200, TimeUnit.MILLISECONDS), "readers wait for a writer");
            two.writeLock().release();
        }
    }

    private void semaphore(CuratorFramework client) throws Exception {
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, "/semaphore", 3);
        List<Lease> leases = new ArrayList<>(semaphore.acquire(3));
        check(leases.size() == 3, "a semaphore gives its leases");
        check(semaphore.acquire(200, TimeUnit.MILLISECONDS) == null, "and no more than it has");
        semaphore.returnLease(leases.remove(0));
        Lease lease = semaphore.acquire(WAIT_SECONDS, TimeUnit.SECONDS);
        check(lease != null, "a returned lease is given again");
        leases.add(lease);
        semaphore.returnAll(leases);
    }

    private void multiLock(CuratorFramework client) throws Exception {
        InterProcessMultiLock both = new InterProcessMultiLock(client, List.of("/multi-a", "/multi-b"));
        both.acquire();
        try (CuratorFramework other = connect()) {
            InterProcessMutex second = new InterProcessMutex(other, "/multi-b");
            check(!second.acquire(200, TimeUnit.MILLISECONDS), "a multi lock holds each of its locks");
            both.release();
            check(second.acquire(WAIT_SECONDS, TimeUnit.SECONDS), "and frees them");
            second.release();
        }
    }

    // ---- election and barriers ------------------------------------------------------------------

    private void leaderLatch(CuratorFramework client) throws Exception {
        try (CuratorFramework other = connect()) {
            LeaderLatch first = new LeaderLatch(client, "/latch", "first");
            first.start();
            check(first.await(WAIT_SECONDS, TimeUnit.SECONDS), "the first candidate leads");
            LeaderLatch second = new LeaderLatch(other, "/latch", "second");
            second.start();
            checkEventually(() -> first.getParticipants().size() == 2, "both candidates are seen");
            check(second.getLeader().getId().equals("first") && !second.hasLeadership(), "one leads");
            first.close();
            check(second.await(WAIT_SECONDS, TimeUnit.SECONDS), "the second follows");
            second.close();
        }
    }

    private void leaderSelector(CuratorFramework client) throws Exception {
        int candidates = 4;
        CountDownLatch turns = new CountDownLatch(candidates);
        AtomicInteger leading = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (int i = 0; i < candidates; i++) {
            LeaderSelector selector =
                    new LeaderSelector(
                            client,
                            "/selector",
                            new LeaderSelectorListenerAdapter() {
                                @Override
                                public void takeLeadership(CuratorFramework ignored) throws Exception {
                                    most.accumulateAndGet(leading.incrementAndGet(), Math::max);
                                    Thread.sleep(20);
                                    leading.decrementAndGet();
                                    turns.countDown();
                                }
                            });
            selectors.add(selector);
            selector.start();
        }
        check(turns.await(WAIT_SECONDS, TimeUnit.SECONDS), "every candidate has its turn");
        check(most.get() == 1, "one leads at a time");
        selectors.forEach(CloseableUtils::closeQuietly);
    }

    private void barrier(CuratorFramework client) throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(client, "/barrier");
        barrier.setBarrier();
        try (CuratorFramework other = connect()) {
            DistributedBarrier same = new DistributedBarrier(other, "/barrier");
            check(!same.waitOnBarrier(200, TimeUnit.MILLISECONDS), "a barrier holds");
            barrier.removeBarrier();
            check(same.waitOnBarrier(WAIT_SECONDS, TimeUnit.SECONDS), "and opens");
        }
    }

    private void doubleBarrier(CuratorFramework ignored) throws Exception {
        int members = 5;
        AtomicInteger entered = new AtomicInteger();
        AtomicInteger early = new AtomicInteger();
        ExecutorService threads = Executors.newFixedThreadPool(members);
        List<Future<Boolean>> all = new ArrayList<>();
        for (int i = 0; i < members; i++) {
            all.add(
                    threads.submit(
                            () -> {
                                try (CuratorFramework own = connect()) {
                                    DistributedDoubleBarrier barrier =
                                            new DistributedDoubleBarrier(own, "/double", members);
                                    entered.incrementAndGet();
                                    boolean in = barrier.enter(WAIT_SECONDS, TimeUnit.SECONDS);
                                    if (entered.get() != members) {
                                        early.incrementAndGet();
                                    }
                                    return barrier.leave(WAIT_SECONDS, TimeUnit.SECONDS) && in;
                                }
                            }));
        }
        boolean passed = true;
        for (Future<Boolean> one : all) {
            passed &= one.get(2 * WAIT_SECONDS, TimeUnit.SECONDS);
        }
        threads.shutdown();
        check(passed, "all members enter and leave");
        check(early.get() == 0, "none enters before all have come");
    }

    // ---- shared values ---------------------------------------------------------------------------

    private void counters(CuratorFramework client) throws Exception {
        DistributedAtomicLong number = new DistributedAtomicLong(client, "/number", new RetryNTimes(50, 5));
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<Boolean>> all = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            all.add(threads.submit(() -> number.add(5L).succeeded()));
        }
        long succeeded = 0;
        for (Future<Boolean> one : all) {
            succeeded += one.get(WAIT_SECONDS, TimeUnit.SECONDS) ? 1 : 0;
        }
        threads.shutdown();
        check(number.get().postValue() == 5 * succeeded && succeeded > 0, "an atomic number counts right");
        check(number.compareAndSet(5 * succeeded, 7L).succeeded(), "compare and set");

        try (CuratorFramework other = connect();
                SharedCount one = new SharedCount(client, "/count", 3);
                SharedCount two = new SharedCount(other, "/count", 3)) {
            one.start();
            two.start();
            check(one.getCount() == 3, "a shared count starts with its seed");
            one.setCount(9);
            checkEventually(() -> two.getCount() == 9, "a shared count is seen elsewhere");
            check(!two.trySetCount(two.getVersionedValue(), 10) || two.getCount() == 10, "and changed there");
        }
    }

    // ---- caches ----------------------------------------------------------------------------------

    private void curatorCache(CuratorFramework client) throws Exception {
        try (CuratorFramework writer = connect();
                CuratorCache cache = CuratorCache.build(client, "/cache")) {
            BlockingQueue<String> seen = new LinkedBlockingQueue<>();
            CountDownLatch initialized = new CountDownLatch(1);
            cache.listenable()
                    .addListener(
                            CuratorCacheListener.builder()
                                    .forCreates(node -> seen.add("created " + node.getPath()))
                                    .forChanges((old, node) -> seen.add("changed " + node.getPath()))
                                    .forDeletes(node -> seen.add("deleted " + node.getPath()))
                                    .forInitialized(initialized::countDown)
                                    .build());
            writer.create().creatingParentsIfNeeded().forPath("/cache/before", EMPTY);
            cache.start();
            check(initialized.await(WAIT_SECONDS, TimeUnit.SECONDS), "a cache fills itself");
            check(cache.get("/cache/before").isPresent(), "with what is there");
            seen.clear();
            writer.create().creatingParentsIfNeeded().forPath("/cache/x/y", bytes("1"));
            checkEvents(seen, "created /cache/x", "created /cache/x/y");
            writer.setData().forPath("/cache/x/y", bytes("2"));
            checkEvents(seen, "changed /cache/x/y");
            check(text(cache.get("/cache/x/y").orElseThrow().getData()).equals("2"), "the cache has the new data");
            writer.delete().deletingChildrenIfNeeded().forPath("/cache/x");
            checkEvents(seen, "deleted /cache/x/y", "deleted /cache/x");
        }
    }

    private void checkEvents(BlockingQueue<String> seen, String... expected) throws Exception {
        List<String> got = new ArrayList<>();
        for (int i = 0; i < expected.length; i++) {
            got.add(String.valueOf(seen.poll(WAIT_SECONDS, TimeUnit.SECONDS)));
        }
        check(sorted(got).equals(sorted(List.of(expected))), "the listener is told: " + String.join(", ", expected));
        if (!sorted(got).equals(sorted(List.of(expected)))) {
            System.out.println("# it was told: " + got);
        }
    }

    @SuppressWarnings("deprecation")
    private void olderCaches(CuratorFramework client) throws Exception {
        client.create().creatingParentsIfNeeded().forPath("/older/a", bytes("1"));
        try (NodeCache node = new NodeCache(client, "/older/a");
                PathChildrenCache children = new PathChildrenCache(client, "/older", true);
                TreeCache tree = new TreeCache(client, "/older")) {
            node.start(true);
            children.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
            tree.start();
            check(text(node.getCurrentData().getData()).equals("1"), "a node cache is filled");
            check(children.getCurrentData().size() == 1, "a children cache is filled");
            checkEventually(() -> tree.getCurrentData("/older/a") != null, "a tree cache is filled");
            client.setData().forPath("/older/a", bytes("2"));
            client.create().forPath("/older/b");
            checkEventually(() -> text(node.getCurrentData().getData()).equals("2"), "a node cache follows");
            checkEventually(() -> children.getCurrentData().size() == 2, "a children cache follows");
            checkEventually(() -> tree.getCurrentChildren("/older").size() == 2, "a tree cache follows");
        }
    }

    private void persistentWatcher(CuratorFramework client) throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        client.create().forPath("/persistent");
        try (PersistentWatcher watcher = new PersistentWatcher(client, "/persistent", true)) {
            CountDownLatch set = new CountDownLatch(1);
            watcher.getResetListenable().addListener(set::countDown);
            watcher.getListenable()
                    .addListener((WatchedEvent event) -> seen.add(event.getType() + " " + event.getPath()));
            watcher.start();
            check(set.await(WAIT_SECONDS, TimeUnit.SECONDS), "a recursive watch is set");
            client.create().forPath("/persistent/a");
            client.setData().forPath("/persistent/a", bytes("1"));
            client.setData().forPath("/persistent/a", bytes("2"));
            client.delete().forPath("/persistent/a");
            checkEvents(
                    seen,
                    "NodeCreated /persistent/a",
                    "NodeDataChanged /persistent/a",
                    "NodeDataChanged /persistent/a",
                    "NodeDeleted /persistent/a");
        }
        AtomicInteger plain = new AtomicInteger();
        client.watchers()
                .add()
                .withMode(AddWatchMode.PERSISTENT)
                .usingWatcher((org.apache.zookeeper.Watcher) event -> plain.incrementAndGet())
                .forPath("/persistent");
        client.create().forPath("/persistent/b");
        client.setData().forPath("/persistent", bytes("x"));
        checkEventually(() -> plain.get() == 2, "a persistent watch fires again and again");
        client.watchers().removeAll().forPath("/persistent");
        int before = plain.get();
        client.setData().forPath("/persistent", bytes("y"));
        client.checkExists().forPath("/persistent");
        check(plain.get() <= before + 1, "a removed watch is silent");
    }

    // ---- queues ----------------------------------------------------------------------------------

    private static final class Words implements QueueSerializer<String> {
        @Override
        public byte[] serialize(String item) {
            return bytes(item);
        }

        @Override
        public String deserialize(byte[] data) {
            return text(data);
        }
    }

    private static final class Collector implements QueueConsumer<String> {
        private final BlockingQueue<String> items = new LinkedBlockingQueue<>();

        @Override
        public void consumeMessage(String item) {
            items.add(item);
        }

        @Override
        public void stateChanged(CuratorFramework client, ConnectionState state) {}

        List<String> take(int count) throws InterruptedException {
            List<String> taken = new ArrayList<>();
            while (taken.size() < count) {
                String item = items.poll(WAIT_SECONDS, TimeUnit.SECONDS);
                if (item == null) {
                    break;
                }
                taken.add(item);
            }
            return taken;
        }
    }

    private void queues(CuratorFramework client) throws Exception {
        Collector plain = new Collector();
        try (DistributedQueue<String> queue =
                QueueBuilder.builder(client, plain, new Words(), "/queue").lockPath("/queue-lock").buildQueue()) {
            queue.start();
            List<String> sent = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                sent.add("item " + i);
                queue.put("item " + i);
            }
            check(plain.take(50).equals(sent), "a queue keeps its order");
        }
        Collector urgent = new Collector();
        try (DistributedPriorityQueue<String> queue =
                QueueBuilder.builder(client, urgent, new Words(), "/priority").buildPriorityQueue(0)) {
            queue.start();
            queue.put("low", 9);
            queue.put("high", 1);
            check(sorted(urgent.take(2)).equals(List.of("high", "low")), "a priority queue delivers");
        }
        Collector late = new Collector();
        try (DistributedDelayQueue<String> queue =
                QueueBuilder.builder(client, late, new Words(), "/delay").buildDelayQueue()) {
            queue.start();
            long now = System.currentTimeMillis();
            queue.put("second", now + 1000);
            queue.put("first", now + 300);
            check(late.take(2).equals(List.of("first", "second")), "a delay queue delivers when it is time");
        }
    }

    private void simpleQueue(CuratorFramework client) throws Exception {
        SimpleDistributedQueue queue = new SimpleDistributedQueue(client, "/simple");
        check(queue.poll(100, TimeUnit.MILLISECONDS) == null, "an empty queue gives nothing");
        queue.offer(bytes("a"));
        queue.offer(bytes("b"));
        check(text(queue.peek()).equals("a"), "peek shows the head");
        check(text(queue.take()).equals("a") && text(queue.take()).equals("b"), "take keeps the order");
    }

    // ---- nodes that look after themselves ----------------------------------------------------------

    private void persistentNode(CuratorFramework observer) throws Exception {
        CuratorFramework owner = connect();
        PersistentNode node = new PersistentNode(owner, CreateMode.EPHEMERAL, false, "/self/node", bytes("me"));
        node.start();
        check(node.waitForInitialCreate(WAIT_SECONDS, TimeUnit.SECONDS), "a persistent ephemeral node appears");
        observer.delete().forPath("/self/node");
        checkEventually(() -> observer.checkExists().forPath("/self/node") != null, "deleted, it comes back");
        node.setData(bytes("you"));
        checkEventually(
                () -> text(observer.getData().forPath("/self/node")).equals("you"), "its data can be changed");
        node.close();
        checkEventually(() -> observer.checkExists().forPath("/self/node") == null, "closed, it goes away");
        try (PersistentTtlNode kept = new PersistentTtlNode(owner, "/self/kept", 60_000, EMPTY)) {
            kept.start();
            check(kept.waitForInitialCreate(WAIT_SECONDS, TimeUnit.SECONDS), "a node kept alive by touches");
        }
        owner.close();
    }

    private void groupMember(CuratorFramework client) throws Exception {
        CuratorFramework other = connect();
        try (GroupMember one = new GroupMember(client, "/group", "one");
                GroupMember two = new GroupMember(other, "/group", "two", bytes("2"))) {
            one.start();
            two.start();
            checkEventually(() -> one.getCurrentMembers().size() == 2, "members see each other");
            check(text(one.getCurrentMembers().get("two")).equals("2"), "with their data");
        }
        other.close();
    }

    /** Another connection that presents the session's id and password takes it over. */
    private void takeover(CuratorFramework observer) throws Exception {
        CuratorFramework client = connect();
        AtomicReference<ConnectionState> state = new AtomicReference<>();
        client.getConnectionStateListenable().addListener((ignored, next) -> state.set(next));
        client.create().withMode(CreateMode.EPHEMERAL).forPath("/resumed");
        org.apache.zookeeper.ZooKeeper handle = client.getZookeeperClient().getZooKeeper();
        CountDownLatch connected = new CountDownLatch(1);
        org.apache.zookeeper.ZooKeeper thief =
                new org.apache.zookeeper.ZooKeeper(
                        address,
                        SESSION_TIMEOUT_MS,
                        event -> connected.countDown(),
                        handle.getSessionId(),
                        handle.getSessionPasswd());
        check(connected.await(WAIT_SECONDS, TimeUnit.SECONDS), "a second connection takes the session over");
        check(thief.exists("/resumed", false) != null, "its ephemeral node is there");
        thief.close();
        checkEventually(() -> observer.checkExists().forPath("/resumed") == null, "closed, the node goes");
        checkEventually(() -> state.get() == ConnectionState.LOST
                || state.get() == ConnectionState.RECONNECTED, "the first connection learns of it");
        client.create().orSetData().forPath("/resumed-again", EMPTY);
        check(client.getZookeeperClient().getZooKeeper().getSessionId() != handle.getSessionId(),
                "and goes on with a new session");
        client.close();
    }
}
