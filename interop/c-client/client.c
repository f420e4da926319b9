/*
 * Exercises a server through Apache's multi-threaded C client, unmodified.
 *
 * Usage: client HOST:PORT. Reports in the Test Anything Protocol on standard output.
 * Each `*_suite` function works below a directory of its own and may run in any order.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

/* The word that makes this program the second process of `session_suite`. */
#define LEASE "lease"

enum { SESSION_TIMEOUT_MS = 10000, WAIT_SECONDS = 20, PATH_BYTES = 512 };

static const char *address;
static int checks;

/* ---- reporting ------------------------------------------------------------------------------ */

static int check(int holds, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s %d - ", holds ? "ok" : "not ok", ++checks);
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    return holds;
}

static void check_code(int got, int expected, const char *what)
{
    check(got == expected, "%s answers %s", what, zerror(expected));
    if (got != expected)
        printf("# got %d (%s), expected %d\n", got, zerror(got), expected);
}

/* ---- waiting for what arrives on the client's own threads ------------------------------------ */

struct mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    int count;              /* everything that ever arrived */
    int last_type;          /* the last event's type, or the last completion's code */
    int last_state;
    char last_path[PATH_BYTES];
    struct Stat stat;
    int children;
    char data[PATH_BYTES];
    int data_bytes;
};

static void mailbox_open(struct mailbox *box)
{
    memset(box, 0, sizeof *box);
    pthread_mutex_init(&box->mutex, NULL);
    pthread_cond_init(&box->arrived, NULL);
}

static void mailbox_put(struct mailbox *box, int type, int state, const char *path)
{
    pthread_mutex_lock(&box->mutex);
    box->count++;
    box->last_type = type;
    box->last_state = state;
    snprintf(box->last_path, sizeof box->last_path, "%s", path ? path : "");
    pthread_cond_broadcast(&box->arrived);
    pthread_mutex_unlock(&box->mutex);
}

/* Returns whether at least `count` deliveries came within `seconds`. */
static int mailbox_wait_within(struct mailbox *box, int count, int seconds)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += seconds;
    pthread_mutex_lock(&box->mutex);
    int result = 0;
    while (box->count < count && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&box->arrived, &box->mutex, &deadline);
    int reached = box->count >= count;
    pthread_mutex_unlock(&box->mutex);
    return reached;
}

static int mailbox_wait(struct mailbox *box, int count)
{
    return mailbox_wait_within(box, count, WAIT_SECONDS);
}

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    if (type != ZOO_SESSION_EVENT)
        mailbox_put(context, type, state, path);
}

static void on_session(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)path;
    if (type == ZOO_SESSION_EVENT && context != NULL)
        mailbox_put(context, type, state, "");
}

static void check_event(struct mailbox *box, int count, int type, const char *path, const char *what)
{
    int arrived = mailbox_wait(box, count);
    check(arrived && box->count == count && box->last_type == type
              && box->last_state == ZOO_CONNECTED_STATE && strcmp(box->last_path, path) == 0,
          "%s", what);
    if (!arrived || box->last_type != type)
        printf("# %d events, last type %d on %s\n", box->count, box->last_type, box->last_path);
}

/* ---- connections ----------------------------------------------------------------------------- */

static zhandle_t *connect_as(const clientid_t *id)
{
    struct mailbox *box = malloc(sizeof *box);
    mailbox_open(box);
    zhandle_t *handle = zookeeper_init(address, on_session, SESSION_TIMEOUT_MS, id, box, 0);
    if (handle == NULL || !mailbox_wait(box, 1) || box->last_state != ZOO_CONNECTED_STATE) {
        check(0, "connects (state %d)", box->last_state);
        exit(1);
    }
    return handle;
}

static zhandle_t *connect_new(void)
{
    return connect_as(NULL);
}

static void make(zhandle_t *handle, const char *path, const char *data)
{
    int code = zoo_create(handle, path, data, (int)strlen(data), &ZOO_OPEN_ACL_UNSAFE,
                          ZOO_PERSISTENT, NULL, 0);
    if (code != ZOK)
        check_code(code, ZOK, path);
}

/* ---- suites ----------------------------------------------------------------------------------- */

static void data_suite(void)
{
    zhandle_t *zk = connect_new();
    char name[PATH_BYTES];
    char data[PATH_BYTES];
    struct Stat stat;
    int bytes;

    check(zoo_recv_timeout(zk) == SESSION_TIMEOUT_MS, "the requested timeout is granted");
    check(zoo_client_id(zk)->client_id != 0, "a session id is given");

    check_code(zoo_create(zk, "/data", "one", 3, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, name, sizeof name),
               ZOK, "create");
    check(strcmp(name, "/data") == 0, "create returns the path");
    check_code(zoo_create(zk, "/data", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0), ZNODEEXISTS,
               "create of an existing node");
    check_code(zoo_create(zk, "/missing/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0), ZNONODE,
               "create below a missing parent");
    check_code(zoo_create2(zk, "/data/two", "two", 3, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, name,
                           sizeof name, &stat), ZOK, "create2");
    check(stat.version == 0 && stat.czxid == stat.mzxid && stat.dataLength == 3, "create2 returns the Stat");

    bytes = sizeof data;
    check_code(zoo_get(zk, "/data", 0, data, &bytes, &stat), ZOK, "get");
    check(bytes == 3 && memcmp(data, "one", 3) == 0, "get returns the data");
    check(stat.numChildren == 1 && stat.cversion == 1, "the parent counts its child");

    check_code(zoo_set2(zk, "/data", "three", 5, 0, &stat), ZOK, "set of the right version");
    check(stat.version == 1 && stat.dataLength == 5, "set returns the new Stat");
    check_code(zoo_set(zk, "/data", "x", 1, 0), ZBADVERSION, "set of a stale version");
    check_code(zoo_set(zk, "/data", NULL, -1, -1), ZOK, "set of null data");
    bytes = sizeof data;
    zoo_get(zk, "/data", 0, data, &bytes, &stat);
    check(bytes == -1 && stat.dataLength == 0, "null data is kept apart from empty data");

    check_code(zoo_exists(zk, "/data", 0, &stat), ZOK, "exists");
    check_code(zoo_exists(zk, "/nothing", 0, &stat), ZNONODE, "exists of a missing node");
    check_code(zoo_delete(zk, "/data", -1), ZNOTEMPTY, "delete of a node with children");
    check_code(zoo_delete(zk, "/data/two", 7), ZBADVERSION, "delete of a stale version");
    check_code(zoo_delete(zk, "/data/two", 0), ZOK, "delete");
    check_code(zoo_delete(zk, "/data/two", 0), ZNONODE, "delete of a missing node");

    size_t large_bytes = 1000 * 1000;
    char *large = malloc(large_bytes);
    memset(large, 'x', large_bytes);
    check_code(zoo_set2(zk, "/data", large, (int)large_bytes, -1, &stat), ZOK, "set of a megabyte");
    bytes = (int)large_bytes;
    check_code(zoo_get(zk, "/data", 0, large, &bytes, &stat), ZOK, "get of a megabyte");
    check(bytes == (int)large_bytes && large[bytes - 1] == 'x', "a megabyte comes back whole");
    free(large);
    check_code(zoo_delete(zk, "/data", -1), ZOK, "delete of any version");
    zookeeper_close(zk);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void children_suite(void)
{
    zhandle_t *zk = connect_new();
    char name[PATH_BYTES];
    struct String_vector names;
    struct Stat stat;

    make(zk, "/children", "");
    for (int i = 0; i < 3; i++) {
        zoo_create(zk, "/children/queue-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, name,
                   sizeof name);
        char expected[PATH_BYTES];
        snprintf(expected, sizeof expected, "/children/queue-%010d", i);
        check(strcmp(name, expected) == 0, "sequential name %d is %s", i, expected);
    }
    check_code(zoo_get_children2(zk, "/children", 0, &names, &stat), ZOK, "get_children2");
    qsort(names.data, (size_t)names.count, sizeof names.data[0], compare_names);
    check(names.count == 3 && strcmp(names.data[2], "queue-0000000002") == 0, "children are listed");
    check(stat.numChildren == 3 && stat.cversion == 3, "the Stat counts children");
    deallocate_String_vector(&names);

    make(zk, "/children/many", "");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "/children/many/%04d", i);
        zoo_create(zk, name, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0);
    }
    check_code(zoo_get_children(zk, "/children/many", 0, &names), ZOK, "get_children");
    check(names.count == 1000, "a thousand children are listed");
    deallocate_String_vector(&names);
    check_code(zoo_get_children(zk, "/children/none", 0, &names), ZNONODE, "get_children of a missing node");

    check_code(zoo_create(zk, "/children/container", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, name,
                          sizeof name), ZOK, "create of a container");
    check_code(zoo_exists(zk, "/children/container", 0, &stat), ZOK, "exists of a container");
    check(stat.ephemeralOwner == 0, "a container shows no owner");
    check_code(zoo_create2_ttl(zk, "/children/ttl", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL,
                               60000, name, sizeof name, &stat), ZOK, "create with a time to live");
    check(stat.ephemeralOwner == 0, "a node with a time to live shows no owner");
    zookeeper_close(zk);
}

static void watch_suite(void)
{
    zhandle_t *zk = connect_new();
    zhandle_t *other = connect_new();
    struct mailbox data, exists, children, removed;
    struct String_vector names;
    struct Stat stat;
    char buffer[PATH_BYTES];
    int bytes = sizeof buffer;

    mailbox_open(&data);
    mailbox_open(&exists);
    mailbox_open(&children);
    mailbox_open(&removed);
    make(other, "/watch", "1");

    check_code(zoo_wget(zk, "/watch", on_event, &data, buffer, &bytes, &stat), ZOK, "get with a watch");
    zoo_set(other, "/watch", "2", 1, -1);
    check_event(&data, 1, ZOO_CHANGED_EVENT, "/watch", "a data watch fires on a change");
    zoo_set(other, "/watch", "3", 1, -1);

    check_code(zoo_wexists(zk, "/watch/new", on_event, &exists, &stat), ZNONODE, "exists with a watch");
    check_code(zoo_wget_children(zk, "/watch", on_event, &children, &names), ZOK, "children with a watch");
    deallocate_String_vector(&names);
    make(other, "/watch/new", "");
    check_event(&exists, 1, ZOO_CREATED_EVENT, "/watch/new", "an exists watch fires on creation");
    check_event(&children, 1, ZOO_CHILD_EVENT, "/watch", "a child watch fires on creation");

    zoo_wexists(zk, "/watch/new", on_event, &exists, &stat);
    zoo_wget_children(zk, "/watch", on_event, &children, &names);
    deallocate_String_vector(&names);
    zoo_delete(other, "/watch/new", -1);
    check_event(&exists, 2, ZOO_DELETED_EVENT, "/watch/new", "an exists watch fires on deletion");
    check_event(&children, 2, ZOO_CHILD_EVENT, "/watch", "a child watch fires on deletion");
    check(data.count == 1, "a one-shot watch fires once");

    bytes = sizeof buffer;
    zoo_wget(zk, "/watch", on_event, &removed, buffer, &bytes, &stat);
    check_code(zoo_remove_watches(zk, "/watch", ZWATCHTYPE_DATA, on_event, &removed, 0), ZOK, "remove_watches");
    check_code(zoo_remove_watches(zk, "/watch", ZWATCHTYPE_DATA, on_event, &removed, 0), ZNOWATCHER,
               "remove_watches without a watch");
    int before = removed.count;
    zoo_set(other, "/watch", "4", 1, -1);
    zoo_exists(zk, "/watch", 0, &stat);
    check(removed.count == before, "a removed watch is silent");
    zookeeper_close(other);
    zookeeper_close(zk);
}

static void on_stat(int code, const struct Stat *stat, const void *context)
{
    struct mailbox *box = (struct mailbox *)context;
    if (code == ZOK)
        box->stat = *stat;
    mailbox_put(box, code, 0, "");
}

static void on_string(int code, const char *value, const void *context)
{
    mailbox_put((struct mailbox *)context, code, 0, value);
}

static void on_void(int code, const void *context)
{
    mailbox_put((struct mailbox *)context, code, 0, "");
}

static void on_data(int code, const char *value, int bytes, const struct Stat *stat, const void *context)
{
    struct mailbox *box = (struct mailbox *)context;
    if (code == ZOK) {
        box->stat = *stat;
        box->data_bytes = bytes;
        memcpy(box->data, value, bytes > 0 ? (size_t)bytes : 0);
    }
    mailbox_put(box, code, 0, "");
}

static void on_children(int code, const struct String_vector *names, const struct Stat *stat,
                        const void *context)
{
    struct mailbox *box = (struct mailbox *)context;
    if (code == ZOK) {
        box->stat = *stat;
        box->children = names->count;
    }
    mailbox_put(box, code, 0, "");
}

static void asynchronous_suite(void)
{
    enum { BURST = 500 };
    zhandle_t *zk = connect_new();
    struct mailbox box, burst;
    mailbox_open(&box);
    mailbox_open(&burst);

    zoo_acreate(zk, "/async", "a", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, &box);
    check(mailbox_wait(&box, 1) && box.last_type == ZOK && strcmp(box.last_path, "/async") == 0, "acreate");
    zoo_aget(zk, "/async", 0, on_data, &box);
    check(mailbox_wait(&box, 2) && box.data_bytes == 1 && box.data[0] == 'a', "aget");
    zoo_aexists(zk, "/async", 0, on_stat, &box);
    check(mailbox_wait(&box, 3) && box.stat.version == 0, "aexists");
    zoo_async(zk, "/async", on_string, &box);
    check(mailbox_wait(&box, 4) && box.last_type == ZOK && strcmp(box.last_path, "/async") == 0, "async (sync)");

    for (int i = 0; i < BURST; i++)
        zoo_aset(zk, "/async", "b", 1, i, on_stat, &burst);
    check(mailbox_wait(&burst, BURST), "a burst of %d sets is answered", BURST);
    check(burst.last_type == ZOK && burst.stat.version == BURST, "a burst is applied in the order it was sent");

    for (int i = 0; i < BURST; i++)
        zoo_acreate(zk, "/async/n", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, on_string, &burst);
    check(mailbox_wait(&burst, 2 * BURST) && strcmp(burst.last_path, "/async/n0000000499") == 0,
          "a burst of sequential creates is numbered in order");
    zoo_aget_children2(zk, "/async", 0, on_children, &box);
    check(mailbox_wait(&box, 5) && box.children == BURST, "aget_children2");
    zoo_adelete(zk, "/async", -1, on_void, &box);
    check(mailbox_wait(&box, 6) && box.last_type == ZNOTEMPTY, "adelete reports its error");
    zookeeper_close(zk);
}

static void multi_suite(void)
{
    zhandle_t *zk = connect_new();
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    char name[PATH_BYTES];
    struct Stat stat;

    zoo_create_op_init(&ops[0], "/multi", "m", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, name, sizeof name);
    zoo_create_op_init(&ops[1], "/multi/a", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0);
    zoo_set_op_init(&ops[2], "/multi", "n", 1, 0, &stat);
    zoo_check_op_init(&ops[3], "/multi", 1);
    check_code(zoo_multi(zk, 4, ops, results), ZOK, "multi of four operations");
    check(strcmp(name, "/multi") == 0 && stat.version == 1 && stat.numChildren == 1,
          "each operation of a multi sees those before it");

    zoo_set_op_init(&ops[0], "/multi", "x", 1, -1, &stat);
    zoo_check_op_init(&ops[1], "/multi", 9);
    zoo_delete_op_init(&ops[2], "/multi/a", -1);
    check_code(zoo_multi(zk, 3, ops, results), ZBADVERSION, "multi with a failing check");
    check(results[0].err == ZOK && results[1].err == ZBADVERSION && results[2].err == ZRUNTIMEINCONSISTENCY,
          "the results tell which operation failed");
    zoo_exists(zk, "/multi", 0, &stat);
    check(stat.version == 1 && stat.numChildren == 1, "a failed multi leaves nothing behind");
    check_code(zoo_multi(zk, 0, ops, results), ZOK, "an empty multi");
    zookeeper_close(zk);
}

static void acl_suite(void)
{
    zhandle_t *zk = connect_new();
    zhandle_t *stranger = connect_new();
    struct mailbox box;
    struct ACL_vector list;
    struct Stat stat;
    char buffer[PATH_BYTES];
    int bytes = sizeof buffer;

    mailbox_open(&box);
    check_code(zoo_create(zk, "/acl", "", 0, &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT, NULL, 0), ZINVALIDACL,
               "create for the creator without authentication");
    check_code(zoo_add_auth(zk, "digest", "kim:secret", 10, on_void, &box), ZOK, "add_auth is sent");
    check(mailbox_wait(&box, 1) && box.last_type == ZOK, "add_auth is accepted");
    check_code(zoo_create(zk, "/acl", "s", 1, &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT, NULL, 0), ZOK,
               "create for the creator only");

    check_code(zoo_get(stranger, "/acl", 0, buffer, &bytes, &stat), ZNOAUTH, "get by a stranger");
    check_code(zoo_set(stranger, "/acl", "x", 1, -1), ZNOAUTH, "set by a stranger");
    check_code(zoo_create(stranger, "/acl/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0), ZNOAUTH,
               "create by a stranger");
    check_code(zoo_get_acl(stranger, "/acl", &list, &stat), ZNOAUTH, "get_acl by a stranger");
    bytes = sizeof buffer;
    check_code(zoo_get(zk, "/acl", 0, buffer, &bytes, &stat), ZOK, "get by the creator");

    check_code(zoo_get_acl(zk, "/acl", &list, &stat), ZOK, "get_acl by the creator");
    check(list.count == 1 && list.data[0].perms == ZOO_PERM_ALL && strcmp(list.data[0].id.scheme, "digest") == 0
              && strncmp(list.data[0].id.id, "kim:", 4) == 0, "the ACL names the creator");
    deallocate_ACL_vector(&list);
    check_code(zoo_set_acl(zk, "/acl", 0, &ZOO_READ_ACL_UNSAFE), ZOK, "set_acl");
    check_code(zoo_set_acl(zk, "/acl", 0, &ZOO_OPEN_ACL_UNSAFE), ZNOAUTH, "set_acl without the right to");
    zoo_exists(zk, "/acl", 0, &stat);
    check(stat.aversion == 1 && stat.version == 0, "set_acl counts in aversion");
    bytes = sizeof buffer;
    check_code(zoo_get(stranger, "/acl", 0, buffer, &bytes, &stat), ZOK, "get by a stranger once it may");
    zookeeper_close(stranger);
    zookeeper_close(zk);
}

/* What the second process does: opens a session, tells its id, and dies without closing it. */
static int take_lease(void)
{
    zhandle_t *zk = connect_new();
    zoo_create(zk, "/lease", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0);
    ssize_t written = write(STDOUT_FILENO, zoo_client_id(zk), sizeof(clientid_t));
    _exit(written == sizeof(clientid_t) ? 0 : 1);
}

static void session_suite(void)
{
    zhandle_t *observer = connect_new();
    clientid_t id;
    struct mailbox gone;
    struct Stat stat;
    int channel[2];

    mailbox_open(&gone);
    fflush(stdout);
    if (pipe(channel) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        /* A new program: this one may have been forked while a thread of the client held a lock. */
        dup2(channel[1], STDOUT_FILENO);
        execl("/proc/self/exe", "c-client", address, LEASE, (char *)NULL);
        _exit(1);
    }
    close(channel[1]);
    ssize_t got = read(channel[0], &id, sizeof id);
    waitpid(child, NULL, 0);
    check(got == sizeof id, "a process opened a session and died");

    check_code(zoo_wexists(observer, "/lease", on_event, &gone, &stat), ZOK, "its ephemeral node outlives it");
    check(stat.ephemeralOwner == id.client_id, "the ephemeral node names the session");
    check_code(zoo_create(observer, "/lease/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0),
               ZNOCHILDRENFOREPHEMERALS, "create below an ephemeral node");

    zhandle_t *resumed = connect_as(&id);
    check(zoo_client_id(resumed)->client_id == id.client_id, "another process resumes the session");
    check_code(zoo_set(resumed, "/lease", "x", 1, -1), ZOK, "the resumed session writes");
    /* Events come on a thread of their own: this one may still be on its way when the next call has its answer. */
    check_event(&gone, 1, ZOO_CHANGED_EVENT, "/lease", "the watch fires for what it wrote");
    zoo_wexists(observer, "/lease", on_event, &gone, &stat);
    zookeeper_close(resumed);
    check_event(&gone, 2, ZOO_DELETED_EVENT, "/lease", "closing the session removes its ephemeral node");

    struct mailbox state;
    mailbox_open(&state);
    zhandle_t *refused = zookeeper_init(address, on_session, SESSION_TIMEOUT_MS, &id, &state, 0);
    check(mailbox_wait(&state, 1) && state.last_state == ZOO_EXPIRED_SESSION_STATE,
          "a closed session can not be resumed");
    zookeeper_close(refused);
    zookeeper_close(observer);
}

int main(int count, char **words)
{
    if (count < 2 || count > 3)
        return 2;
    address = words[1];
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    if (count == 3)
        return strcmp(words[2], LEASE) == 0 ? take_lease() : 2;
    data_suite();
    children_suite();
    watch_suite();
    asynchronous_suite();
    multi_suite();
    acl_suite();
    session_suite();
    printf("1..%d\n", checks);
    return 0;
}
