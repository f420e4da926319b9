import java.io.BufferedWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Phaser;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Fills a server with znodes of all kinds, and writes down everything that a server holds.
 *
 * <pre>
 * Tree populate ADDRESS BASE COUNT    fills BASE; prints the session that stays, "ID PASSWORD", and its
 *                                     ephemeral znodes, sorted
 * Tree dump ADDRESS FILE              writes each znode with data, ACL and Stat, sorted by path
 * Tree resume ADDRESS ID PASSWORD     takes the session over; prints its ephemeral znodes, sorted
 * </pre>
 *
 * The program ends without closing its session, except after a dump.
 */
final class Tree {
    private static final int WAIT_SECONDS = 60;
    private static final int LASTING_TIMEOUT_MS = 600_000;
    private static final int DUMP_TIMEOUT_MS = 30_000;
    private static final int WINDOW = 200;
    private static final int LAST_SETS = 1000;
    private static final List<ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;
    private static final byte[] EMPTY = {};

    private final ZooKeeper client;

    private Tree(ZooKeeper client) {
        this.client = client;
        client.addAuthInfo("digest", bytes("super:test"));
        client.addAuthInfo("digest", bytes("kim:secret"));
    }

    public static void main(String[] words) throws Exception {
        switch (words[0]) {
            case "populate" -> {
                Tree tree = new Tree(connect(words[1], LASTING_TIMEOUT_MS, 0, null));
                tree.kinds(words[2]);
                tree.access(words[2]);
                tree.quota(words[2]);
                tree.load(words[2] + "/load", Integer.parseInt(words[3]));
                System.out.println(
                        tree.client.getSessionId()
                                + " "
                                + HexFormat.of().formatHex(tree.client.getSessionPasswd()));
                System.out.println(tree.ephemerals());
            }
            case "dump" -> {
                Tree tree = new Tree(connect(words[1], DUMP_TIMEOUT_MS, 0, null));
                tree.dump(Path.of(words[2]));
                tree.client.close();
            }
            case "resume" -> {
                byte[] password = HexFormat.of().parseHex(words[3]);
                long session = Long.parseLong(words[2]);
                Tree tree = new Tree(connect(words[1], LASTING_TIMEOUT_MS, session, password));
                boolean same = tree.client.getSessionId() == session;
                System.out.println(same ? tree.ephemerals() : "another session");
            }
            default -> throw new IllegalArgumentException(words[0]);
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static ZooKeeper connect(String address, int timeoutMs, long session, byte[] password)
            throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        Watcher watcher =
                event -> {
                    switch (event.getState()) {
                        case SyncConnected -> connected.countDown();
                        case Expired -> {
                            System.out.println("expired");
                            Runtime.getRuntime().halt(1);
                        }
                        default -> {}
                    }
                };
        ZooKeeper client =
                password == null
                        ? new ZooKeeper(address, timeoutMs, watcher)
                        : new ZooKeeper(address, timeoutMs, watcher, session, password);
        if (!connected.await(WAIT_SECONDS, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection to " + address);
        }
        return client;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private List<String> ephemerals() throws Exception {
        List<String> own = new ArrayList<>(client.getEphemerals());
        Collections.sort(own);
        return own;
    }

    // ---- filling ------------------------------------------------------------------------------

    private void kinds(String base) throws Exception {
        client.create(base, null, OPEN, CreateMode.PERSISTENT);
        client.create(base + "/empty", EMPTY, OPEN, CreateMode.PERSISTENT);
        client.create(base + "/text", bytes("grüße"), OPEN, CreateMode.PERSISTENT);
        client.create(base + "/größe", bytes("x"), OPEN, CreateMode.PERSISTENT);
        byte[] large = new byte[900_000];
        Arrays.fill(large, (byte) 7);
        client.create(base + "/large", large, OPEN, CreateMode.PERSISTENT);
        for (int i = 0; i < 3; i++) {
            client.create(base + "/s-", EMPTY, OPEN, CreateMode.PERSISTENT_SEQUENTIAL);
            client.create(base + "/e-", bytes("mine"), OPEN, CreateMode.EPHEMERAL_SEQUENTIAL);
        }
        client.create(base + "/ephemeral", bytes("mine"), OPEN, CreateMode.EPHEMERAL);
        client.create(base + "/container", EMPTY, OPEN, CreateMode.CONTAINER);
        client.create(base + "/container/child", EMPTY, OPEN, CreateMode.PERSISTENT);
        client.create(base + "/ttl", EMPTY, OPEN, CreateMode.PERSISTENT_WITH_TTL, null, 3_600_000);
        client.create(
                base + "/ttl-", EMPTY, OPEN, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, null, 0xff_ffff_ffffL);
        for (int i = 0; i < 5; i++) {
            client.setData(base + "/text", bytes("version " + i), i);
        }
        client.create(base + "/gone", EMPTY, OPEN, CreateMode.PERSISTENT);
        client.delete(base + "/gone", 0);
        client.multi(
                List.of(
                        Op.create(base + "/multi", bytes("1"), OPEN, CreateMode.PERSISTENT),
                        Op.create(base + "/multi/s-", EMPTY, OPEN, CreateMode.PERSISTENT_SEQUENTIAL),
                        Op.create(base + "/multi/mine", EMPTY, OPEN, CreateMode.EPHEMERAL),
                        Op.setData(base + "/multi", bytes("2"), 0),
                        Op.check(base + "/multi", 1)));
        try {
            client.multi(List.of(Op.setData(base, bytes("never"), -1), Op.check(base, 99)));
        } catch (org.apache.zookeeper.KeeperException.BadVersionException expected) {
            // A failed multi is in the log too.
        }
    }

    private void access(String base) throws Exception {
        String node = base + "/access";
        client.create(node, EMPTY, ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        client.create(node + "/reading", EMPTY, ZooDefs.Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT);
        // Not List.of, which throws when Apache's client asks whether it contains null.
        List<ACL> several =
                Arrays.asList(
                        new ACL(ZooDefs.Perms.READ, new Id("world", "anyone")),
                        new ACL(ZooDefs.Perms.ALL, new Id("ip", "127.0.0.0/8")),
                        new ACL(ZooDefs.Perms.WRITE, new Id("digest", "lee:bkP3W7LpYqnJsLmkuSeXUVbCSxc=")));
        client.create(node + "/several", EMPTY, several, CreateMode.PERSISTENT);
        client.setACL(node + "/several", several.subList(1, 3), 0);
    }

    private void quota(String base) throws Exception {
        String node = "/zookeeper/quota" + base;
        client.create(node, EMPTY, OPEN, CreateMode.PERSISTENT);
        byte[] limits = bytes("count=100000,bytes=-1=;byteHardLimit=-1;countHardLimit=-1");
        client.create(node + "/zookeeper_limits", limits, OPEN, CreateMode.PERSISTENT);
        client.create(node + "/zookeeper_stats", bytes("count=0,bytes=0"), OPEN, CreateMode.PERSISTENT);
    }

    /** Creates, sets and deletes with many requests in flight, so that snapshots are taken meanwhile. */
    private void load(String base, int count) throws Exception {
        Semaphore window = new Semaphore(WINDOW);
        AtomicInteger failures = new AtomicInteger();
        client.create(base, EMPTY, OPEN, CreateMode.PERSISTENT);
        for (int group = 0; group < 10; group++) {
            client.create(base + "/" + group, EMPTY, OPEN, CreateMode.PERSISTENT);
        }
        for (int i = 0; i < count; i++) {
            String path = base + "/" + i % 10 + "/" + i;
            window.acquire(2);
            client.create(path, bytes("data " + i), OPEN, CreateMode.PERSISTENT,
                    (code, p, context, name) -> done(window, failures, code), null);
            client.setData(path, bytes("changed " + i), 0,
                    (code, p, context, stat) -> done(window, failures, code), null);
            if (i % 7 == 0) {
                window.acquire();
                client.delete(path, 1, (code, p, context) -> done(window, failures, code), null);
            }
        }
        // Enough without a pause that servers, which note a digest now and then, all note some of
        // these, whenever their last snapshot was.
        for (int i = 0; i < LAST_SETS; i++) {
            window.acquire();
            client.setData(base, bytes("last " + i), i,
                    (code, p, context, stat) -> done(window, failures, code), null);
        }
        window.acquire(WINDOW);
        if (failures.get() > 0) {
            throw new IllegalStateException(failures.get() + " requests failed");
        }
    }

    private static void done(Semaphore window, AtomicInteger failures, int code) {
        if (code != 0) {
            failures.incrementAndGet();
        }
        window.release();
    }

    // ---- writing down -------------------------------------------------------------------------

    /** Many requests are in flight at a time; each answer may ask for more. */
    private void dump(Path file) throws Exception {
        Phaser answers = new Phaser(1);
        Map<String, Line> lines = new ConcurrentSkipListMap<>();
        visit("/", lines, answers);
        answers.arriveAndAwaitAdvance();
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            for (Map.Entry<String, Line> line : lines.entrySet()) {
                out.write(line.getKey() + " " + line.getValue());
                out.newLine();
            }
        }
    }

    /** What is known of a znode; only the client's event thread fills it in. */
    private static final class Line {
        private String data;
        private String acl;
        private Stat stat;

        @Override
        public String toString() {
            return String.join(
                    " ",
                    "data=" + data,
                    "czxid=" + stat.getCzxid(),
                    "mzxid=" + stat.getMzxid(),
                    "pzxid=" + stat.getPzxid(),
                    "ctime=" + stat.getCtime(),
                    "mtime=" + stat.getMtime(),
                    "version=" + stat.getVersion(),
                    "cversion=" + stat.getCversion(),
                    "aversion=" + stat.getAversion(),
                    "owner=" + stat.getEphemeralOwner(),
                    "length=" + stat.getDataLength(),
                    "children=" + stat.getNumChildren(),
                    "acl=" + acl);
        }
    }

    private void visit(String path, Map<String, Line> lines, Phaser answers) {
        Line line = new Line();
        lines.put(path, line);
        answers.bulkRegister(3);
        client.getData(
                path,
                false,
                (code, p, context, data, stat) -> {
                    line.data = data == null ? "null" : data.length + "#" + Arrays.hashCode(data);
                    line.stat = stat;
                    answers.arriveAndDeregister();
                },
                null);
        client.getACL(
                path,
                null,
                (code, p, context, acl, stat) -> {
                    line.acl =
                            acl.stream()
                                    .map(entry -> entry.getPerms() + ":" + entry.getId().toString().trim())
                                    .collect(Collectors.joining(","));
                    answers.arriveAndDeregister();
                },
                null);
        client.getChildren(
                path,
                false,
                (code, p, context, names) -> {
                    for (String name : names) {
                        visit(path.equals("/") ? "/" + name : path + "/" + name, lines, answers);
                    }
                    answers.arriveAndDeregister();
                },
                null);
    }
}
