import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;

/**
 * Apache's client in the part of `clients`: `Clients ADDRESS WINDOW`, then for each line `get
 * MILLISECONDS` or `set MILLISECONDS` one line with operations, seconds and seconds of processor time.
 * Each answer's callback asks again, which is the least that this client can do for a request.
 */
public final class Clients {
    private static final String PATH = "/clients-java";
    private static final byte[] VALUE = new byte[100];

    private final ZooKeeper client;
    private final int window;
    private volatile boolean isOver;
    private final AtomicLong operations = new AtomicLong();
    private CountDownLatch unfinished;

    private Clients(ZooKeeper client, int window) {
        this.client = client;
        this.window = window;
    }

    public static void main(String[] words) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper client = new ZooKeeper(words[0], 30_000, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        connected.await();
        Arrays.fill(VALUE, (byte) 'x');
        try {
            client.create(PATH, VALUE, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        } catch (KeeperException.NodeExistsException there) {
            client.setData(PATH, VALUE, -1);
        }
        Clients clients = new Clients(client, Integer.parseInt(words[1]));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] asked = line.split(" ");
            System.out.println(clients.measure(asked[0].equals("set"), Long.parseLong(asked[1])));
            System.out.flush();
        }
        client.close();
    }

    private String measure(boolean isSet, long millis) throws InterruptedException {
        OperatingSystemMXBean system =
                (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        isOver = false;
        operations.set(0);
        unfinished = new CountDownLatch(window);
        long began = System.nanoTime();
        long processorBegan = system.getProcessCpuTime();
        for (int i = 0; i < window; i++) {
            if (isSet) {
                set();
            } else {
                get();
            }
        }
        Thread.sleep(millis);
        isOver = true;
        unfinished.await();
        double took = (System.nanoTime() - began) / 1e9;
        double processor = (system.getProcessCpuTime() - processorBegan) / 1e9;
        return operations.get() + " " + took + " " + processor;
    }

    private void get() {
        AsyncCallback.DataCallback then = (code, path, context, data, stat) -> {
            if (code != 0 || data.length != VALUE.length) {
                System.exit(code);
            }
            goOn(this::get);
        };
        client.getData(PATH, false, then, null);
    }

    private void set() {
        AsyncCallback.StatCallback then = (code, path, context, stat) -> {
            if (code != 0) {
                System.exit(code);
            }
            goOn(this::set);
        };
        client.setData(PATH, VALUE, -1, then, null);
    }

    /** Callbacks come in one thread, so that nothing is in the way of this counter. */
    private void goOn(Runnable again) {
        operations.lazySet(operations.get() + 1);
        if (isOver) {
            unfinished.countDown();
        } else {
            again.run();
        }
    }
}
