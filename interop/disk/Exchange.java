import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Fills a server with every kind of state, and prints all of it.
 *
 * <pre>
 * java Exchange populate HOST:PORT NODES PREFIX    leaves its sessions open when it ends
 * java Exchange dump HOST:PORT                     one line for each znode, sorted by path
 * </pre>
 *
 * A line is: path, data in hexadecimal ("null" if there is none), czxid, mzxid, pzxid, ctime, mtime,
 * version, cversion, aversion, owner, number of children, access control list.
 */
public final class Exchange {
    /** Long enough for every session to outlive the whole exchange, where the server allows it. */
    private static final int SESSION_MS = 1_800_000;
    private static final int IN_FLIGHT = 200;

    public static void main(String[] words) throws Exception {
        if (words[0].equals("populate")) {
            populate(words[1], Integer.parseInt(words[2]), words[3]);
        } else {
            dump(words[1]);
        }
        // Not System.exit after a close: the sessions are to outlive this program.
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static ZooKeeper connect(String address) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper client = new ZooKeeper(address, SESSION_MS, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        connected.await();
        client.addAuthInfo("digest", "reader:secret".getBytes(StandardCharsets.UTF_8));
        return client;
    }

    private static void populate(String address, int nodes, String prefix) throws Exception {
        ZooKeeper client = connect(address);
        String top = "/" + prefix;
        client.create(top, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        load(client, top + "/load", nodes);
        kinds(client, top + "/kinds");
        lists(client, top + "/lists");
        changes(client, top + "/changes");
        quota(client, top + "/quota", prefix);
        ZooKeeper closed = connect(address);
        closed.create(top + "/gone", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        closed.close();
    }

    /** Many znodes, so many at a time that snapshots are taken while they change. */
    private static void load(ZooKeeper client, String top, int nodes) throws Exception {
        client.create(top, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Semaphore room = new Semaphore(IN_FLIGHT);
        AsyncCallback.StringCallback created = (code, path, context, name) -> room.release();
        AsyncCallback.StatCallback set = (code, path, context, stat) -> room.release();
        AsyncCallback.VoidCallback deleted = (code, path, context) -> room.release();
        for (int number = 0; number < nodes; number++) {
            String path = String.format("%s/n%05d", top, number);
            byte[] data = new byte[number % 90];
            Arrays.fill(data, (byte) number);
            room.acquire();
            client.create(path, data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, created, null);
            if (number % 3 == 0) {
                room.acquire();
                client.setData(path, path.getBytes(StandardCharsets.UTF_8), -1, set, null);
            }
            if (number % 7 == 0) {
                room.acquire();
                client.delete(path, -1, deleted, null);
            }
            if (number % 10 == 1) {
                room.acquire();
                String child = path + "/child";
                client.create(child, null, Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT, created, null);
            }
        }
        room.acquire(IN_FLIGHT);
    }

    private static void kinds(ZooKeeper client, String top) throws Exception {
        List<ACL> open = Ids.OPEN_ACL_UNSAFE;
        client.create(top, "kinds".getBytes(StandardCharsets.UTF_8), open, CreateMode.PERSISTENT);
        client.create(top + "/ephemeral", new byte[] {1, 2, 3}, open, CreateMode.EPHEMERAL);
        client.create(top + "/sequence-", null, open, CreateMode.PERSISTENT_SEQUENTIAL);
        client.create(top + "/sequence-", null, open, CreateMode.EPHEMERAL_SEQUENTIAL);
        client.create(top + "/container", null, open, CreateMode.CONTAINER);
        client.create(top + "/container/child", null, open, CreateMode.PERSISTENT);
        client.create(top + "/ttl", null, open, CreateMode.PERSISTENT_WITH_TTL, null, 3_600_000);
        Stat stat = new Stat();
        client.create(top + "/\u00e4\u6f22", new byte[5000], open, CreateMode.PERSISTENT, stat);
    }

    private static void lists(ZooKeeper client, String top) throws Exception {
        client.create(top, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        client.create(top + "/creator", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        List<ACL> mixed = new ArrayList<>();
        mixed.add(new ACL(Perms.ALL, new Id("ip", "127.0.0.0/8")));
        mixed.add(new ACL(Perms.READ, new Id("digest", "someone:hash=")));
        client.create(top + "/mixed", null, mixed, CreateMode.PERSISTENT);
        client.create(top + "/changed", null, mixed, CreateMode.PERSISTENT);
        client.setACL(top + "/changed", Ids.OPEN_ACL_UNSAFE, 0);
        client.setACL(top + "/changed", Ids.READ_ACL_UNSAFE, 1);
    }

    private static void changes(ZooKeeper client, String top) throws Exception {
        List<ACL> open = Ids.OPEN_ACL_UNSAFE;
        client.create(top, null, open, CreateMode.PERSISTENT);
        client.multi(List.of(
                Op.create(top + "/a", "1".getBytes(StandardCharsets.UTF_8), open, CreateMode.PERSISTENT),
                Op.create(top + "/b", null, open, CreateMode.EPHEMERAL),
                Op.setData(top + "/a", "2".getBytes(StandardCharsets.UTF_8), 0),
                Op.check(top + "/a", 1)));
        refused(() -> client.multi(List.of(
                Op.create(top + "/c", null, open, CreateMode.PERSISTENT),
                Op.check(top + "/a", 17),
                Op.delete(top + "/a", -1))));
        refused(() -> client.create(top, null, open, CreateMode.PERSISTENT));
        refused(() -> client.delete(top, -1));
        refused(() -> client.setData(top + "/a", null, 99));
        client.create(top + "/d", null, open, CreateMode.PERSISTENT);
        client.delete(top + "/d", 0);
        client.setData(top + "/a", null, -1);
    }

    private static void quota(ZooKeeper client, String top, String prefix) throws Exception {
        List<ACL> open = Ids.OPEN_ACL_UNSAFE;
        client.create(top, null, open, CreateMode.PERSISTENT);
        String directory = "/zookeeper/quota/" + prefix;
        client.create(directory, null, open, CreateMode.PERSISTENT);
        client.create(directory + "/quota", null, open, CreateMode.PERSISTENT);
        byte[] limits = "count=100,bytes=100000".getBytes(StandardCharsets.UTF_8);
        byte[] usage = "count=0,bytes=0".getBytes(StandardCharsets.UTF_8);
        client.create(directory + "/quota/zookeeper_limits", limits, open, CreateMode.PERSISTENT);
        client.create(directory + "/quota/zookeeper_stats", usage, open, CreateMode.PERSISTENT);
        client.create(top + "/inside", new byte[321], open, CreateMode.PERSISTENT);
    }

    private interface Request {
        void send() throws Exception;
    }

    private static void refused(Request request) throws Exception {
        try {
            request.send();
        } catch (KeeperException expected) {
            return;
        }
        throw new IllegalStateException("was not refused");
    }

    private static void dump(String address) throws Exception {
        ZooKeeper client = connect(address);
        List<String> lines = new ArrayList<>();
        dump(client, "/", lines);
        Collections.sort(lines);
        lines.forEach(System.out::println);
        client.close();
    }

    private static void dump(ZooKeeper client, String path, List<String> lines) throws Exception {
        Stat stat = new Stat();
        byte[] data = client.getData(path, false, stat);
        List<ACL> list = client.getACL(path, null);
        List<String> acls = new ArrayList<>();
        for (ACL acl : list) {
            acls.add(acl.getId().getScheme() + ":" + acl.getId().getId() + ":" + acl.getPerms());
        }
        lines.add(String.join("\t",
                path,
                data == null ? "null" : HexFormat.of().formatHex(data),
                Long.toString(stat.getCzxid()),
                Long.toString(stat.getMzxid()),
                Long.toString(stat.getPzxid()),
                Long.toString(stat.getCtime()),
                Long.toString(stat.getMtime()),
                Integer.toString(stat.getVersion()),
                Integer.toString(stat.getCversion()),
                Integer.toString(stat.getAversion()),
                Long.toString(stat.getEphemeralOwner()),
                Integer.toString(stat.getNumChildren()),
                String.join(",", acls)));
        for (String name : client.getChildren(path, false)) {
            dump(client, path.equals("/") ? "/" + name : path + "/" + name, lines);
        }
    }
}
