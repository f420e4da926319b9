import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;

/**
 * Clients of Curator that work without a pause, and note every request that fails.
 *
 * <p>Usage: {@code CuratorLoad HOSTS FIRST LAST}. Does and reports what {@code kazoo-load.py} does.
 */
final class CuratorLoad implements Runnable {
    private static final int SESSION_TIMEOUT_MS = 10_000;
    private static final int CONNECT_TIMEOUT_MS = 10_000;
    private static final int PAUSE_MS = 20;
    private static final int EVERY = 5;

    private static volatile boolean stopped;

    private final CuratorFramework client;
    private final int number;
    private final AtomicInteger lost = new AtomicInteger();
    private final List<String> acknowledged = new ArrayList<>();
    private final List<String> unknown = new ArrayList<>();
    private int requests;
    private long session;

    private CuratorLoad(String hosts, int number) {
        this.number = number;
        client =
                CuratorFrameworkFactory.builder()
                        .connectString(hosts)
                        .sessionTimeoutMs(SESSION_TIMEOUT_MS)
                        .connectionTimeoutMs(CONNECT_TIMEOUT_MS)
                        // No request is sent twice, so that each failure is seen.
                        .retryPolicy(new RetryNTimes(0, 0))
                        .build();
        client.getConnectionStateListenable()
                .addListener((ignored, state) -> {
                    if (state == ConnectionState.LOST) {
                        lost.incrementAndGet();
                    }
                });
    }

    public static void main(String[] words) throws Exception {
        List<CuratorLoad> all = new ArrayList<>();
        int last = Integer.parseInt(words[2]);
        for (int number = Integer.parseInt(words[1]); number <= last; number++) {
            CuratorLoad one = new CuratorLoad(words[0], number);
            one.begin();
            all.add(one);
        }
        List<Thread> threads = all.stream().map(Thread::new).collect(Collectors.toList());
        threads.forEach(Thread::start);
        String clients = list(all.stream().map(CuratorLoad::identity));
        say("{\"event\": \"ready\", \"clients\": " + clients + "}");
        while (System.in.read() >= 0) {
            // Only its end matters.
        }
        stopped = true;
        for (Thread thread : threads) {
            thread.join();
        }
        List<String> outcomes = new ArrayList<>();
        for (CuratorLoad one : all) {
            outcomes.add(one.outcome());
        }
        all.forEach(one -> one.client.close());
        say("{\"event\": \"done\", \"clients\": " + list(outcomes.stream()) + "}");
        System.exit(0);
    }

    private void begin() throws Exception {
        client.start();
        if (!client.blockUntilConnected(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not connected");
        }
        client.create().orSetData().forPath("/load");
        client.create().withMode(CreateMode.EPHEMERAL).forPath(ephemeral());
        session = client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    @Override
    public void run() {
        for (int count = 1; !stopped; count++) {
            String path = "/load/" + number + "-" + count;
            byte[] data = path.getBytes(StandardCharsets.UTF_8);
            if (ask("create", path, () -> client.create().forPath(path, data))) {
                acknowledged.add(path);
            } else {
                unknown.add(path);
            }
            if (count % EVERY == 0 && !acknowledged.isEmpty()) {
                String known = acknowledged.get(acknowledged.size() - 1);
                byte[] expected = known.getBytes(StandardCharsets.UTF_8);
                ask("get", known, () -> {
                    if (!Arrays.equals(client.getData().forPath(known), expected)) {
                        say("{\"event\": \"wrong\", \"path\": \"" + known + "\"}");
                    }
                });
                ask("set", known, () -> client.setData().forPath(known, expected));
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException interrupted) {
                return;
            }
        }
    }

    private interface Request {
        void send() throws Exception;
    }

    /** Sends a request once; returns whether it was answered without an error. */
    private boolean ask(String what, String path, Request request) {
        requests++;
        try {
            request.send();
            return true;
        } catch (Exception failure) {
            String name = failure.getClass().getSimpleName().replace("Exception", "");
            say(String.format(
                    "{\"event\": \"failed\", \"at\": %.3f, \"what\": \"%s\", \"path\": \"%s\","
                            + " \"session\": \"%x\", \"failure\": \"%s\"}",
                    System.currentTimeMillis() / 1000.0, what, path, session, name));
            return false;
        }
    }

    private String ephemeral() {
        return "/ephemeral-" + number;
    }

    private String identity() {
        return String.format("{\"session\": \"%x\", \"ephemeral\": \"%s\"}", session, ephemeral());
    }

    private String outcome() throws Exception {
        boolean isSame = client.getZookeeperClient().getZooKeeper().getSessionId() == session;
        return String.format(
                "{\"session\": \"%x\", \"ephemeral\": \"%s\", \"requests\": %d, \"lost\": %d,"
                        + " \"acknowledged\": %s, \"unknown\": %s}",
                session,
                ephemeral(),
                requests,
                lost.get() + (isSame ? 0 : 1),
                list(acknowledged.stream().map(CuratorLoad::quoted)),
                list(unknown.stream().map(CuratorLoad::quoted)));
    }

    private static String quoted(String text) {
        return '"' + text + '"';
    }

    private static String list(java.util.stream.Stream<String> parts) {
        return parts.collect(Collectors.joining(", ", "[", "]"));
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
