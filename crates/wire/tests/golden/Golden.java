// Writes the golden files beside it with Apache ZooKeeper's own classes; see README.md.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import org.apache.jute.BinaryInputArchive;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.InputArchive;
import org.apache.jute.OutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.MultiOperationRecord;
import org.apache.zookeeper.MultiResponse;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.ZooDefs.OpCode;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.proto.*;
import org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;
import org.apache.zookeeper.server.quorum.FastLeaderElection;
import org.apache.zookeeper.server.quorum.Leader;
import org.apache.zookeeper.server.quorum.LearnerInfo;
import org.apache.zookeeper.server.quorum.QuorumCnxManager;
import org.apache.zookeeper.server.quorum.QuorumPacket;
import org.apache.zookeeper.server.quorum.auth.QuorumAuth;
import org.apache.zookeeper.txn.*;

public class Golden {

    static final List<ACL> OPEN = List.of(new ACL(31, new Id("world", "anyone")));
    static final List<ACL> TWO = List.of(
        new ACL(1, new Id("ip", "10.0.0.0/8")), new ACL(30, new Id("digest", "u\u00fcser:hash=")));
    static final byte[] DATA = {0, 1, 2, (byte) 0xff};
    static final Stat STAT = new Stat(
        0x100000001L, 0x100000002L, 1700000000001L, 1700000000002L, 3, 4, 5,
        0x0100000000000006L, 7, 8, 0x100000009L);
    static final long SESSION = 0x0100000000000001L;

    static PrintWriter out;

    interface Part {
        void write() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[1]);
        if (args[0].equals("records")) {
            into(directory.resolve("texts.hex"), Golden::texts);
            into(directory.resolve("connects.hex"), Golden::connects);
            into(directory.resolve("requests.hex"), Golden::requests);
            into(directory.resolve("replies.hex"), Golden::replies);
            into(directory.resolve("transactions.hex"), Golden::transactions);
            into(directory.resolve("packets.hex"), Golden::packets);
            into(directory.resolve("notifications.hex"), Golden::notifications);
            into(directory.resolve("hellos.hex"), Golden::hellos);
        } else {
            Path data = Path.of(args[2]);
            into(directory.resolve("conversation.hex"), () -> capture(directory, data));
        }
    }

    static void into(Path file, Part part) throws Exception {
        out = new PrintWriter(file.toFile());
        part.write();
        out.close();
    }

    // Bytes as Java reads them in a text: pieces of UTF-8 in random order.

    static void texts() throws Exception {
        int[] pieces = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1,
            0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
        Random random = new Random(1);
        for (int i = 0; i < 1000; i++) {
            byte[] text = new byte[1 + random.nextInt(7)];
            for (int j = 0; j < text.length; j++) {
                text[j] = (byte) pieces[random.nextInt(pieces.length)];
            }
            ByteArrayOutputStream buffer = new ByteArrayOutputStream();
            BinaryOutputArchive.getArchive(buffer).writeBuffer(text, "text");
            byte[] stored = buffer.toByteArray();
            String read = BinaryInputArchive.getArchive(new ByteArrayInputStream(stored)).readString("text");
            line(hex(text), read.getBytes(StandardCharsets.UTF_8));
        }
    }

    // Records with fixed values.

    static void connects() throws Exception {
        byte[] password = "0123456789abcdef".getBytes();
        line("request", framed(connect(ConnectRequest.class, 0, 0x200000003L, 30000, SESSION, password, true)));
        line("response", framed(connect(ConnectResponse.class, 0, 20000, SESSION, password, true)));
        line("refusal", framed(connect(ConnectResponse.class, 0, 0, 0L, new byte[16], false)));
    }

    static void requests() throws Exception {
        request("create", 1, OpCode.create, new CreateRequest("/a", DATA, OPEN, 0));
        request("create_null_data", 2, OpCode.create, new CreateRequest("/a", null, TWO, 3));
        request("create2", 3, OpCode.create2, new CreateRequest("/a", DATA, OPEN, 1));
        request("create_container", 4, OpCode.createContainer, new CreateRequest("/a", DATA, OPEN, 4));
        request("create_ttl", 5, OpCode.createTTL, new CreateTTLRequest("/a", DATA, OPEN, 6, 86400000L));
        request("delete", 6, OpCode.delete, new DeleteRequest("/a", 7));
        request("delete_any", 7, OpCode.delete, new DeleteRequest("/a", -1));
        request("exists", 8, OpCode.exists, new ExistsRequest("/a", true));
        request("get_data", 9, OpCode.getData, new GetDataRequest("/a", false));
        request("set_data", 10, OpCode.setData, new SetDataRequest("/a", DATA, 7));
        request("set_data_null", 11, OpCode.setData, new SetDataRequest("/a", null, -1));
        request("get_acl", 12, OpCode.getACL, new GetACLRequest("/a"));
        request("set_acl", 13, OpCode.setACL, new SetACLRequest("/a", TWO, 7));
        request("get_children", 14, OpCode.getChildren, new GetChildrenRequest("/a", true));
        request("get_children2", 15, OpCode.getChildren2, new GetChildren2Request("/a", false));
        request("sync", 16, OpCode.sync, new SyncRequest("/a"));
        request("ping", -2, OpCode.ping, null);
        MultiOperationRecord multi = new MultiOperationRecord();
        multi.add(Op.check("/a", 7));
        multi.add(Op.create("/a/b", DATA, OPEN, 2));
        multi.add(Op.create("/a/c", null, OPEN, 4));
        multi.add(Op.create("/a/t", DATA, OPEN, 5, 1000L));
        multi.add(Op.setData("/a", DATA, -1));
        multi.add(Op.delete("/a/d", 0));
        request("multi", 17, OpCode.multi, multi);
        request("multi_empty", 18, OpCode.multi, new MultiOperationRecord());
        MultiOperationRecord reads = new MultiOperationRecord();
        reads.add(Op.getData("/a"));
        reads.add(Op.getChildren("/b"));
        request("multi_read", 19, OpCode.multiRead, reads);
        request("reconfig", 20, OpCode.reconfig, new ReconfigRequest("server.4=h:1:2;3", null, "", 0x100000004L));
        request("reconfig_any", 21, OpCode.reconfig, new ReconfigRequest(null, "4,5", null, -1));
        request("check_watches", 22, OpCode.checkWatches, new CheckWatchesRequest("/a", 2));
        request("remove_watches", 23, OpCode.removeWatches, new RemoveWatchesRequest("/a", 3));
        request("auth", -4, OpCode.auth, new AuthPacket(0, "digest", "u:p".getBytes()));
        request("set_watches", -8, OpCode.setWatches,
            new SetWatches(0x100000005L, List.of("/d"), List.of("/e", "/f"), List.of()));
        request("set_watches2", -8, OpCode.setWatches2, new SetWatches2(0x100000005L, List.of("/d"),
            List.of("/e"), List.of("/c"), List.of("/p"), List.of("/r")));
        request("sasl", 25, OpCode.sasl, new GetSASLRequest(DATA));
        request("get_ephemerals", 26, OpCode.getEphemerals, new GetEphemeralsRequest("/a"));
        request("get_all_children_number", 27, OpCode.getAllChildrenNumber,
            new GetAllChildrenNumberRequest("/a"));
        request("add_watch", 28, OpCode.addWatch, new AddWatchRequest("/a", 1));
        request("who_am_i", 29, OpCode.whoAmI, null);
        request("create_session", 0, OpCode.createSession, new CreateSessionTxn(30000));
        request("close_session", 30, OpCode.closeSession, null);
        request("supplementary_path", 31, OpCode.getACL, new GetACLRequest("/\ud83d\ude00"));
    }

    static void replies() throws Exception {
        reply("empty", new ReplyHeader(1, 0x100000006L, 0));
        reply("error", new ReplyHeader(2, 0x100000006L, -101));
        reply("path", new ReplyHeader(3, 0x100000006L, 0), new CreateResponse("/a0000000001"));
        reply("path_and_stat", new ReplyHeader(4, 0x100000006L, 0), new Create2Response("/a", STAT));
        reply("stat", new ReplyHeader(5, 0x100000006L, 0), new SetDataResponse(STAT));
        reply("data", new ReplyHeader(6, 0x100000006L, 0), new GetDataResponse(DATA, STAT));
        reply("data_null", new ReplyHeader(7, 0x100000006L, 0), new GetDataResponse(null, STAT));
        reply("acl", new ReplyHeader(8, 0x100000006L, 0), new GetACLResponse(TWO, STAT));
        reply("children", new ReplyHeader(9, 0x100000006L, 0),
            new GetChildrenResponse(List.of("b", "c")));
        reply("children2", new ReplyHeader(10, 0x100000006L, 0),
            new GetChildren2Response(List.of("b"), STAT));
        reply("count", new ReplyHeader(11, 0x100000006L, 0), new GetAllChildrenNumberResponse(12));
        reply("watch_added", new ReplyHeader(12, 0x100000006L, 0), new ErrorResponse(0));
        reply("who_am_i", new ReplyHeader(13, 0x100000006L, 0),
            new WhoAmIResponse(List.of(new ClientInfo("ip", "127.0.0.1"), new ClientInfo("super", ""))));
        reply("token", new ReplyHeader(14, 0, 0), new SetSASLResponse(DATA));
        reply("token_refused", new ReplyHeader(15, 0, -115), new SetSASLResponse(null));
        MultiResponse multi = new MultiResponse();
        multi.add(new OpResult.CheckResult());
        multi.add(new OpResult.CreateResult("/a/b0000000001"));
        multi.add(new OpResult.CreateResult("/a/c", STAT));
        multi.add(new OpResult.SetDataResult(STAT));
        multi.add(new OpResult.DeleteResult());
        reply("multi", new ReplyHeader(16, 0x100000006L, 0), multi);
        MultiResponse failed = new MultiResponse();
        failed.add(new OpResult.ErrorResult(0));
        failed.add(new OpResult.ErrorResult(-110));
        failed.add(new OpResult.ErrorResult(-2));
        reply("multi_failed", new ReplyHeader(17, 0x100000006L, 0), failed);
        MultiResponse reads = new MultiResponse();
        reads.add(new OpResult.GetDataResult(DATA, STAT));
        reads.add(new OpResult.ErrorResult(-102));
        reads.add(new OpResult.GetChildrenResult(List.of("b", "c")));
        reply("multi_read", new ReplyHeader(18, 0x100000006L, 0), reads);
        reply("event", new ReplyHeader(-1, 0x100000006L, 0), new WatcherEvent(4, 3, "/a"));
        reply("event_of_old_server", new ReplyHeader(-1, -1, 0), new WatcherEvent(2, 3, "/a"));
    }

    static void transactions() throws Exception {
        txn("create_session", OpCode.createSession, new CreateSessionTxn(30000));
        txn("close_session", OpCode.closeSession, new CloseSessionTxn(List.of("/e1", "/e2")));
        txn("create", OpCode.create, new CreateTxn("/a", DATA, OPEN, true, 4));
        txn("create2", OpCode.create2, new CreateTxn("/a", null, TWO, false, 5));
        txn("create_container", OpCode.createContainer, new CreateContainerTxn("/a", DATA, OPEN, 6));
        txn("create_ttl", OpCode.createTTL, new CreateTTLTxn("/a", DATA, OPEN, 7, 86400000L));
        txn("delete", OpCode.delete, new DeleteTxn("/a"));
        txn("delete_container", OpCode.deleteContainer, new DeleteTxn("/a"));
        txn("set_data", OpCode.setData, new SetDataTxn("/a", DATA, 8));
        txn("reconfig", OpCode.reconfig, new SetDataTxn("/zookeeper/config", DATA, -1));
        txn("set_acl", OpCode.setACL, new SetACLTxn("/a", TWO, 9));
        txn("error", OpCode.error, new ErrorTxn(-101));
        Txn create = new Txn(OpCode.create, bytes(new CreateTxn("/a/b", DATA, OPEN, false, 1)));
        Txn check = new Txn(OpCode.check, bytes(new CheckVersionTxn("/a", 3)));
        txn("multi", OpCode.multi, new MultiTxn(List.of(
            check,
            create,
            new Txn(OpCode.create2, bytes(new CreateTxn("/a/s", DATA, OPEN, false, 2))),
            new Txn(OpCode.createContainer, bytes(new CreateContainerTxn("/a/c", null, OPEN, 2))),
            new Txn(OpCode.createTTL, bytes(new CreateTTLTxn("/a/t", DATA, OPEN, 3, 1000L))),
            new Txn(OpCode.setData, bytes(new SetDataTxn("/a", DATA, 4))),
            new Txn(OpCode.delete, bytes(new DeleteTxn("/a/d"))))));
        txn("multi_failed", OpCode.multi, new MultiTxn(List.of(
            create,
            new Txn(OpCode.error, bytes(new ErrorTxn(-101))),
            new Txn(OpCode.error, bytes(new ErrorTxn(-2))))));
        // As a learner logs it that the leader synchronized from memory after it applied the above.
        txn("multi_failed_altered", OpCode.multi, new MultiTxn(List.of(
            new Txn(OpCode.error, bytes(new CreateTxn("/a/b", DATA, OPEN, false, 1))),
            new Txn(OpCode.error, bytes(new ErrorTxn(-101))),
            new Txn(OpCode.error, bytes(new ErrorTxn(-2))))));
        // What servers of release 3.3 wrote.
        txn("create_v0", OpCode.create, new CreateTxnV0("/a", DATA, OPEN, true), null);
        txn("close_session_without_list", OpCode.closeSession, null, null);
        txn("close_session_without_list_but_digest", OpCode.closeSession, null);
        txn("delete_without_digest", OpCode.delete, new DeleteTxn("/a"), null);
    }

    // What servers say to each other. The comments name who builds the packet.

    static final byte[] CONFIG = String.join("\n",
        "server.1=10.0.0.1:2888:3888:participant;0.0.0.0:2181",
        "server.2=h\u00f6st:2888:3888:observer",
        "version=100000004").getBytes(StandardCharsets.UTF_8);

    static void packets() throws Exception {
        long epoch = 0x500000000L;
        long zxid = 0x500000007L;
                List<Id> ids = List.of(new Id("ip", "127.0.0.1"), new Id("digest", "u\u00fcser:hash="));
        TxnDigest digest = new TxnDigest(2, 0x8000000000000007L);
        byte[] change = bytes(
            new TxnHeader(SESSION, 3, zxid, 1700000000005L, OpCode.reconfig),
            new SetDataTxn("/zookeeper/config", CONFIG, -1), digest);
        byte[] deletion = bytes(
            new TxnHeader(SESSION, 4, zxid, 1700000000005L, OpCode.delete), new DeleteTxn("/a"), digest);
        // Learner.registerWithLeader
        packet("> follower_info", "FOLLOWERINFO", epoch, bytes(new LearnerInfo(3, 0x10000, 0x100000004L)));
        packet("> observer_info", "OBSERVERINFO", epoch, bytes(new LearnerInfo(-1, 0x10000, 0)));
        packet("> ack_epoch", "ACKEPOCH", 0x400000009L, number(4));
        packet("> ack_epoch_again", "ACKEPOCH", zxid, number(-1));
        packet("> ack_epoch_without_database", "ACKEPOCH", -1, number(0));
        // What release 3.4 sends: its LearnerInfo has no third field.
        packet("> follower_info_of_3_4", "FOLLOWERINFO", epoch,
            Arrays.copyOf(bytes(new LearnerInfo(3, 0x10000, 0)), 12));
        // Learner.syncWithLeader, SendAckRequestProcessor
        packet("> ack_new_leader", "ACK", epoch, null);
        packet("> ack", "ACK", zxid, null);
        // Learner.ping
        packet("> ping", "PING", zxid, join(touch(SESSION, 4000), touch(2, 30000)));
        packet("> ping_without_touches", "PING", zxid, new byte[0]);
        // Learner.validateSession
        packet("> revalidate", "REVALIDATE", -1, touch(SESSION, 4000));
        // Learner.request
        packet("> request", "REQUEST", -1,
            join(number(SESSION), bytes(new RequestHeader(7, OpCode.delete), new DeleteRequest("/a", -1))), ids);
        packet("> request_of_learner", "REQUEST", -1,
            join(number(SESSION), bytes(new RequestHeader(0, OpCode.createSession), new CreateSessionTxn(4000))), null);
        packet("> request_of_nobody", "REQUEST", -1,
            join(number(SESSION), bytes(new RequestHeader(8, OpCode.closeSession))), List.of());
        // LearnerHandler.run, LearnerHandler.syncFollower
        packet("< leader_info", "LEADERINFO", epoch, number(0x10000));
        packet("< diff", "DIFF", zxid, null);
        packet("< truncate", "TRUNC", zxid, null);
        packet("< snapshot", "SNAP", zxid, null);
        packet("< new_leader", "NEWLEADER", epoch, CONFIG);
        packet("< new_leader_without_config", "NEWLEADER", epoch, null);
        packet("< up_to_date", "UPTODATE", -1, null);
        packet("< ping", "PING", zxid, null);
        // Leader
        packet("< proposal", "PROPOSAL", zxid, deletion);
        packet("< proposal_of_reconfig", "PROPOSAL", zxid, change);
        packet("< commit", "COMMIT", zxid, null);
        packet("< commit_and_activate", "COMMITANDACTIVATE", zxid, number(2L));
        packet("< inform", "INFORM", zxid, deletion);
        line("< inform_and_activate", bytes(Leader.buildInformAndActivePacket(zxid, 2, change)));
        packet("< sync", "SYNC", 0, null);
        packet("< revalidated", "REVALIDATE", -1, join(number(SESSION), new byte[] {1}));
        packet("< revalidated_not", "REVALIDATE", -1, join(number(SESSION), new byte[] {0}));
        // SaslQuorumAuthLearner, SaslQuorumAuthServer
        line("sasl_begin", bytes(QuorumAuth.createPacket(QuorumAuth.Status.IN_PROGRESS, new byte[0])));
        line("sasl_challenge", bytes(QuorumAuth.createPacket(QuorumAuth.Status.IN_PROGRESS, DATA)));
        line("sasl_success", bytes(QuorumAuth.createPacket(QuorumAuth.Status.SUCCESS, null)));
        line("sasl_refusal", bytes(QuorumAuth.createPacket(QuorumAuth.Status.ERROR, new byte[0])));
    }

    static byte[] touch(long session, int timeout) {
        return ByteBuffer.allocate(12).putLong(session).putInt(timeout).array();
    }

    static byte[] number(long value) {
        return ByteBuffer.allocate(8).putLong(value).array();
    }

    static byte[] number(int value) {
        return ByteBuffer.allocate(4).putInt(value).array();
    }

    static byte[] join(byte[]... parts) throws IOException {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            whole.write(part);
        }
        return whole.toByteArray();
    }

    static void packet(String name, String type, long zxid, byte[] data) throws Exception {
        packet(name, type, zxid, data, null);
    }

    static void packet(String name, String type, long zxid, byte[] data, List<Id> ids) throws Exception {
        Field number = Leader.class.getDeclaredField(type);
        number.setAccessible(true);
        line(name, bytes(new QuorumPacket(number.getInt(null), zxid, data, ids)));
    }

    // Frames of the election port, with what FastLeaderElection makes them of.
    static void notifications() throws Exception {
        Class<?> election = FastLeaderElection.class;
        Method plain = election.getDeclaredMethod("buildMsg", int.class, long.class, long.class, long.class, long.class);
        Method full = election.getDeclaredMethod(
            "buildMsg", int.class, long.class, long.class, long.class, long.class, byte[].class);
        plain.setAccessible(true);
        full.setAccessible(true);
        long min = Long.MIN_VALUE;
        notification("looking", full.invoke(null, 0, 2L, 0x400000009L, 7L, 4L, CONFIG), -1);
        notification("following", full.invoke(null, 1, 2L, 0x400000009L, 7L, 5L, CONFIG), -1);
        notification("leading", full.invoke(null, 2, 2L, 0x400000009L, -1L, 5L, CONFIG), -1);
        notification("observing", full.invoke(null, 3, 2L, 0x400000009L, 7L, 5L, CONFIG), -1);
        notification("observer", full.invoke(null, 0, min, min, 1L, min, CONFIG), -1);
        notification("joiner", full.invoke(null, 0, min, 0x400000009L, 1L, 4L, CONFIG), -1);
        notification("without_database", full.invoke(null, 0, 2L, -1L, 1L, 0L, new byte[0]), -1);
        notification("of_3_4_6", plain.invoke(null, 0, 2L, 0x400000009L, 7L, 4L), -1);
        notification("of_3_4_0", plain.invoke(null, 0, 2L, 0x400000009L, 7L, 4L), 36);
    }

    // Up to so many bytes; -1: all.
    static void notification(String name, Object message, int bytes) throws Exception {
        byte[] array = ((ByteBuffer) message).array();
        byte[] body = bytes < 0 ? array : Arrays.copyOf(array, bytes);
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        new DataOutputStream(frame).writeInt(body.length);
        frame.write(body);
        line(name, frame.toByteArray());
    }

    // Addresses in hellos, and what Apache reads in them: the list without wildcards, or a refusal.
    static void hellos() throws Exception {
        String[] texts = {
            "127.0.0.1:3888", "[::1]:3888", "localhost:1", "127.0.0.1:3888|127.0.0.2:3889", "0.0.0.0:3888",
            "[::]:3888|127.0.0.1:65535", "0.0.0.0:1|[0:0:0:0:0:0:0:0]:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
            "127.0.0.1:1:2", "::1:3888", "[::1:3888", "[::1]:", "[::1]", "[::1]:x", "[::1]:1:2", "127.0.0.1:1||127.0.0.2:1",
            "127.0.0.1:65536", "|127.0.0.1:1", "127.0.0.1:1.0", "127.0.0.1: 1",
        };
        for (String text : texts) {
            ByteArrayOutputStream hello = new ByteArrayOutputStream();
            DataOutputStream output = new DataOutputStream(hello);
            output.writeLong(text.contains("|")
                ? QuorumCnxManager.PROTOCOL_VERSION_V2 : QuorumCnxManager.PROTOCOL_VERSION_V1);
            output.writeLong(3);
            output.writeInt(text.length());
            output.writeBytes(text);
            line(parsed(hello.toByteArray()), hello.toByteArray());
        }
    }

    static String parsed(byte[] hello) throws IOException {
        DataInputStream input = new DataInputStream(new ByteArrayInputStream(hello));
        try {
            List<InetSocketAddress> addresses = QuorumCnxManager.InitialMessage.parse(input.readLong(), input).electionAddr;
            return addresses.isEmpty() ? "-" : addresses.stream()
                .map(address -> address.getHostString() + "," + address.getPort()).collect(Collectors.joining("|"));
        } catch (QuorumCnxManager.InitialMessage.InitialMessageException | IllegalArgumentException refused) {
            return "refused";
        }
    }

    // A conversation with a server, and the files it leaves.

    static void capture(Path directory, Path data) throws Exception {
        ZooKeeperServer server = new ZooKeeperServer(data.toFile(), data.toFile(), 2000);
        NIOServerCnxnFactory connections = new NIOServerCnxnFactory();
        connections.configure(new InetSocketAddress("127.0.0.1", 0), 100);
        connections.startup(server);
        int port = connections.getLocalPort();

        Conversation first = new Conversation(port);
        first.ask(-4, OpCode.auth, new AuthPacket(0, "digest", "user:secret".getBytes()));
        first.ask(1, OpCode.create, new CreateRequest("/app", DATA, OPEN, 0));
        first.ask(2, OpCode.create, new CreateRequest("/app", DATA, OPEN, 0));
        first.ask(3, OpCode.create2, new CreateRequest("/app/null", null, OPEN, 0));
        first.ask(4, OpCode.create, new CreateRequest("/app/seq-", DATA, OPEN, 2));
        first.ask(5, OpCode.create2, new CreateRequest("/app/eph", DATA, OPEN, 1));
        first.ask(6, OpCode.createContainer, new CreateRequest("/app/box", new byte[0], OPEN, 4));
        first.ask(7, OpCode.createTTL, new CreateTTLRequest("/app/ttl", DATA, OPEN, 5, 86400000L));
        List<ACL> mine = List.of(new ACL(31, new Id("auth", "")), new ACL(1, new Id("world", "anyone")));
        first.ask(8, OpCode.create, new CreateRequest("/app/mine", "s\u00fc\u00df".getBytes(StandardCharsets.UTF_8), mine, 0));
        first.ask(9, OpCode.setACL, new SetACLRequest("/app/null", mine, 0));
        first.ask(10, OpCode.getACL, new GetACLRequest("/app/mine"));
        first.ask(11, OpCode.exists, new ExistsRequest("/app/later", true));
        first.ask(12, OpCode.getData, new GetDataRequest("/app", true));
        first.ask(13, OpCode.getChildren, new GetChildrenRequest("/app", true));
        first.ask(14, OpCode.getChildren2, new GetChildren2Request("/app", false));
        first.ask(15, OpCode.setData, new SetDataRequest("/app", "changed".getBytes(), 0));
        first.ask(16, OpCode.create, new CreateRequest("/app/later", DATA, OPEN, 0));
        first.ask(17, OpCode.setData, new SetDataRequest("/app", DATA, 7));
        first.ask(18, OpCode.addWatch, new AddWatchRequest("/app", 1));
        MultiOperationRecord multi = new MultiOperationRecord();
        multi.add(Op.check("/app", 1));
        multi.add(Op.create("/app/m", DATA, OPEN, 0));
        multi.add(Op.create("/app/mbox", null, OPEN, 4));
        multi.add(Op.create("/app/mttl", DATA, OPEN, 6, 5000L));
        multi.add(Op.setData("/app/m", null, 0));
        multi.add(Op.delete("/app/later", -1));
        first.ask(19, OpCode.multi, multi);
        MultiOperationRecord failing = new MultiOperationRecord();
        failing.add(Op.create("/app/never", DATA, OPEN, 0));
        failing.add(Op.delete("/app/missing", -1));
        failing.add(Op.setData("/app", null, -1));
        first.ask(20, OpCode.multi, failing);
        MultiOperationRecord reads = new MultiOperationRecord();
        reads.add(Op.getData("/app"));
        reads.add(Op.getData("/app/missing"));
        reads.add(Op.getChildren("/app"));
        first.ask(21, OpCode.multiRead, reads);
        first.ask(22, OpCode.multi, new MultiOperationRecord());
        first.ask(23, OpCode.getAllChildrenNumber, new GetAllChildrenNumberRequest("/"));
        first.ask(24, OpCode.getEphemerals, new GetEphemeralsRequest("/app"));
        first.ask(25, OpCode.whoAmI);
        first.ask(26, OpCode.checkWatches, new CheckWatchesRequest("/app", 1));
        first.ask(27, OpCode.removeWatches, new RemoveWatchesRequest("/app", 3));
        first.ask(28, OpCode.sync, new SyncRequest("/app"));
        first.ask(-2, OpCode.ping);
        first.ask(29, OpCode.create, new CreateRequest("/app/bad", DATA, OPEN, 17));
        first.ask(30, OpCode.reconfig, new ReconfigRequest("server.4=h:1:2;3", null, null, -1));
        first.ask(-8, OpCode.setWatches2, new SetWatches2(1, List.of("/app", "/gone"), List.of("/app"),
            List.of("/app"), List.of("/app"), List.of("/app")));
        first.ask(31, OpCode.delete, new DeleteRequest("/app/null", 0));
        odd(first);
        server.takeSnapshot();
        first.ask(32, OpCode.closeSession);

        Conversation second = new Conversation(port);
        second.ask(1, 99);
        connections.shutdown();

        File files = new File(data.toFile(), "version-2");
        for (File file : files.listFiles()) {
            if (file.getName().startsWith("log.") || !file.getName().equals("snapshot.0")) {
                String kind = file.getName().startsWith("log.") ? "log" : "snapshot";
                Files.copy(file.toPath(), directory.resolve(kind + ".bin"));
            }
        }
    }

    // A record of the handshake. Up to release 3.8 the last byte is not part of the record.
    static Record[] connect(Class<? extends Record> kind, Object... fields) throws Exception {
        int last = fields.length - 1;
        for (Constructor<?> constructor : kind.getConstructors()) {
            if (constructor.getParameterCount() == fields.length) {
                return new Record[] {(Record) constructor.newInstance(fields)};
            }
            if (constructor.getParameterCount() == last) {
                Object[] others = Arrays.copyOf(fields, last);
                return new Record[] {
                    (Record) constructor.newInstance(others), new ReadOnly((Boolean) fields[last])};
            }
        }
        throw new IllegalStateException("no constructor of " + kind);
    }

    record ReadOnly(boolean value) implements Record {

        public void serialize(OutputArchive archive, String tag) throws IOException {
            archive.writeBool(value, tag);
        }

        public void deserialize(InputArchive archive, String tag) {
            throw new UnsupportedOperationException();
        }
    }

    // Requests that no client library sends.
    static void odd(Conversation talk) throws Exception {
        MultiHeader end = new MultiHeader(-1, true, -1);
        talk.ask(101, OpCode.multi,
            new MultiHeader(OpCode.create2, false, -1), new CreateRequest("/app/o1", DATA, OPEN, 0),
            new MultiHeader(OpCode.createContainer, false, -1), new CreateRequest("/app/o2", DATA, OPEN, 0),
            new MultiHeader(OpCode.create2, false, -1), new CreateRequest("/app/o3", DATA, OPEN, 4),
            new MultiHeader(OpCode.createTTL, false, -1), new CreateTTLRequest("/app/o4", DATA, OPEN, 0, 9),
            end);
        talk.ask(102, OpCode.multi,
            new MultiHeader(OpCode.create, false, -1), new CreateRequest("/app/o5", DATA, OPEN, 17), end);
        talk.ask(103, OpCode.multi,
            new MultiHeader(OpCode.create, false, -1), new CreateRequest("/app/o5", DATA, OPEN, 5), end);
        talk.ask(104, OpCode.multi,
            new MultiHeader(OpCode.setACL, false, -1), new SetACLRequest("/app", OPEN, -1), end);
        talk.ask(105, OpCode.multi,
            new MultiHeader(OpCode.delete, false, -1), new DeleteRequest("/app/o1", -1),
            new MultiHeader(OpCode.getData, false, -1), new GetDataRequest("/app", false), end);
        talk.ask(106, OpCode.multi, new MultiHeader(OpCode.delete, false, -1));
        talk.ask(107, OpCode.createTTL, new CreateTTLRequest("/app/o6", DATA, OPEN, 0, 5));
        talk.ask(108, OpCode.createTTL, new CreateTTLRequest("/app/o6", DATA, OPEN, 5, 0));
        talk.ask(109, OpCode.create, new CreateRequest("/app/o6", DATA, OPEN, 5));
        talk.ask(110, OpCode.createContainer, new CreateRequest("/app/o7", DATA, OPEN, 0));
        talk.ask(111, OpCode.create, new CreateRequest("/app/o8", DATA, OPEN, 4));
        talk.ask(112, OpCode.create, new CreateRequest("/app/o9", DATA, null, 0));
        talk.ask(113, OpCode.create, new CreateRequest("/app/o9", DATA, List.of(new ACL(1, new Id(null, null))), 0));
        talk.ask(114, OpCode.getData, new GetDataRequest(null, false));
        talk.ask(115, OpCode.delete, new DeleteRequest(null, -1));
        talk.ask(116, OpCode.setWatches, new SetWatches(1, null, List.of(), List.of()));
        talk.ask(117, OpCode.addWatch, new AddWatchRequest("/app", 2));
        talk.ask(118, OpCode.checkWatches, new CheckWatchesRequest("/app", 9));
        talk.ask(119, OpCode.getData);
        talk.ask(120, OpCode.setData, new SyncRequest("/app"));
        talk.ask(121, OpCode.sync, new SyncRequest(null));
        talk.ask(122, OpCode.getEphemerals, new GetEphemeralsRequest(null));
        talk.ask(123, OpCode.multiRead,
            new MultiHeader(OpCode.getChildren, false, -1), new GetChildrenRequest(null, false), end);
        talk.ask(124, OpCode.multiRead,
            new MultiHeader(OpCode.delete, false, -1), new DeleteRequest("/app/o1", -1), end);
    }

    static class Conversation {

        final DataInputStream input;
        final DataOutputStream output;

        Conversation(int port) throws Exception {
            Socket socket = new Socket("127.0.0.1", port);
            socket.setSoTimeout(5000);
            input = new DataInputStream(socket.getInputStream());
            output = new DataOutputStream(socket.getOutputStream());
            send(">>", framed(connect(ConnectRequest.class, 0, 0L, 30000, 0L, new byte[16], false)));
            receive("<<");
        }

        // Sends a request and takes what comes until its reply.
        void ask(int xid, int opcode, Record... records) throws Exception {
            Record[] all = new Record[1 + records.length];
            all[0] = new RequestHeader(xid, opcode);
            System.arraycopy(records, 0, all, 1, records.length);
            send(">", framed(all));
            while (new DataInputStream(new ByteArrayInputStream(receive("<"))).readInt() != xid) { }
        }

        void send(String name, byte[] frame) throws Exception {
            line(name, frame);
            output.write(frame);
        }

        byte[] receive(String name) throws Exception {
            int bytes = input.readInt();
            ByteArrayOutputStream frame = new ByteArrayOutputStream();
            new DataOutputStream(frame).writeInt(bytes);
            byte[] body = input.readNBytes(bytes);
            frame.write(body);
            line(name, frame.toByteArray());
            return body;
        }
    }

    static void request(String name, int xid, int opcode, Record record) throws Exception {
        line(name, framed(new RequestHeader(xid, opcode), record));
    }

    static void reply(String name, Record... records) throws Exception {
        line(name, framed(records));
    }

    static void txn(String name, int opcode, Record record) throws Exception {
        txn(name, opcode, record, new TxnDigest(2, 0x8000000000000007L));
    }

    static void txn(String name, int opcode, Record record, TxnDigest digest) throws Exception {
        line(name, bytes(new TxnHeader(SESSION, 3, 0x100000004L, 1700000000005L, opcode), record, digest));
    }

    static byte[] framed(Record... records) throws Exception {
        byte[] body = bytes(records);
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        new DataOutputStream(frame).writeInt(body.length);
        frame.write(body);
        return frame.toByteArray();
    }

    static byte[] bytes(Record... records) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryOutputArchive archive = BinaryOutputArchive.getArchive(bytes);
        for (Record record : records) {
            if (record != null) {
                record.serialize(archive, "record");
            }
        }
        return bytes.toByteArray();
    }

    static void line(String name, byte[] bytes) {
        out.println(name + ' ' + hex(bytes));
    }

    static String hex(byte[] bytes) {
        StringBuilder hex = new StringBuilder();
        for (byte b : bytes) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }
}
