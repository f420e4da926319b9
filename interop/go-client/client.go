// Exercises a server through the Go package github.com/samuel/go-zookeeper, unmodified.
//
// Usage: client HOST:PORT. Reports in the Test Anything Protocol on standard output.
package main

import (
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/samuel/go-zookeeper/zk"
)

const (
	waitLimit      = 20 * time.Second
	sessionTimeout = 15 * time.Second
)

var (
	address  string
	checks   int
	everyone = zk.WorldACL(zk.PermAll)
)

// silent drops the client's own log.
type silent struct{}

func (silent) Printf(string, ...interface{}) {}

func check(holds bool, name string, details ...interface{}) {
	checks++
	verdict := "ok"
	if !holds {
		verdict = "not ok"
	}
	fmt.Printf("%s %d - %s\n", verdict, checks, name)
	if !holds && len(details) > 0 {
		fmt.Println("#", details)
	}
}

func checkError(got, expected error, name string) {
	check(got == expected, fmt.Sprintf("%s: %v", name, expected), got)
}

// must ends the running scenario; the recovery in scenario counts it as a failed check.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func scenario(name string, run func()) {
	defer func() {
		if reason := recover(); reason != nil {
			check(false, name+" runs to its end", reason)
		}
	}()
	run()
}

// connect returns a client with a session; connections made with dial can be cut by the caller.
func connect(dial zk.Dialer) *zk.Conn {
	connection, events, err := zk.ConnectWithDialer([]string{address}, sessionTimeout, dial)
	must(err)
	connection.SetLogger(silent{})
	awaitState(events, zk.StateHasSession)
	return connection
}

func awaitState(events <-chan zk.Event, state zk.State) {
	limit := time.After(waitLimit)
	for {
		select {
		case event := <-events:
			if event.State == state {
				return
			}
		case <-limit:
			panic(fmt.Sprintf("no state %v within %v", state, waitLimit))
		}
	}
}

func checkEvent(events <-chan zk.Event, kind zk.EventType, path, name string) {
	select {
	case event := <-events:
		check(event.Type == kind && event.Path == path, name, event)
	case <-time.After(waitLimit):
		check(false, name, "nothing came")
	}
}

func data() {
	client := connect(net.DialTimeout)
	defer client.Close()
	path, err := client.Create("/node", []byte("one"), 0, everyone)
	check(err == nil && path == "/node", "create", err)
	_, err = client.Create("/node", nil, 0, everyone)
	checkError(err, zk.ErrNodeExists, "create of an existing node")
	_, err = client.Create("/none/x", nil, 0, everyone)
	checkError(err, zk.ErrNoNode, "create below a missing parent")
	bytes, stat, err := client.Get("/node")
	check(err == nil && string(bytes) == "one" && stat.Version == 0 && stat.DataLength == 3, "get", err)
	stat, err = client.Set("/node", []byte("three"), 0)
	check(err == nil && stat.Version == 1 && stat.DataLength == 5, "set", err)
	_, err = client.Set("/node", nil, 0)
	checkError(err, zk.ErrBadVersion, "set of a stale version")
	found, _, err := client.Exists("/none")
	check(err == nil && !found, "exists of a missing node", err)
	for i := 0; i < 3; i++ {
		path, err = client.Create("/node/q-", nil, zk.FlagSequence, everyone)
		expected := fmt.Sprintf("/node/q-%010d", i)
		check(err == nil && path == expected, "sequential name "+expected, path, err)
	}
	names, stat, err := client.Children("/node")
	sort.Strings(names)
	check(err == nil && strings.Join(names, ",") == "q-0000000000,q-0000000001,q-0000000002", "children", names)
	check(stat.NumChildren == 3 && stat.Cversion == 3, "the parent counts its children", stat)
	checkError(client.Delete("/node", -1), zk.ErrNotEmpty, "delete of a parent")
	checkError(client.Delete("/node/q-0000000000", 3), zk.ErrBadVersion, "delete of a stale version")
	err = client.Delete("/node/q-0000000000", 0)
	check(err == nil, "delete", err)
	path, err = client.Sync("/node")
	check(err == nil && path == "/node", "sync", err)
}

func concurrent() {
	const workers, each = 20, 50
	client := connect(net.DialTimeout)
	defer client.Close()
	_, err := client.Create("/shared", nil, 0, everyone)
	must(err)
	var group sync.WaitGroup
	failures := make(chan error, workers*each)
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < each; j++ {
				if _, err := client.Set("/shared", []byte("x"), -1); err != nil {
					failures <- err
				}
			}
		}()
	}
	group.Wait()
	_, stat, err := client.Get("/shared")
	check(err == nil && len(failures) == 0, "many goroutines write through one connection", err)
	check(stat.Version == workers*each, "each write counts once", stat.Version)
}

func watches() {
	client, other := connect(net.DialTimeout), connect(net.DialTimeout)
	defer client.Close()
	defer other.Close()
	_, err := other.Create("/watched", []byte("1"), 0, everyone)
	must(err)
	_, _, changed, err := client.GetW("/watched")
	must(err)
	_, err = other.Set("/watched", []byte("2"), -1)
	must(err)
	checkEvent(changed, zk.EventNodeDataChanged, "/watched", "a data watch fires")
	_, _, created, err := client.ExistsW("/watched/new")
	must(err)
	_, _, listed, err := client.ChildrenW("/watched")
	must(err)
	_, err = other.Create("/watched/new", nil, 0, everyone)
	must(err)
	checkEvent(created, zk.EventNodeCreated, "/watched/new", "an exists watch fires")
	checkEvent(listed, zk.EventNodeChildrenChanged, "/watched", "a child watch fires")
	_, _, removed, err := client.ExistsW("/watched/new")
	must(err)
	must(other.Delete("/watched/new", -1))
	checkEvent(removed, zk.EventNodeDeleted, "/watched/new", "a deletion is seen")
}

func multi() {
	client := connect(net.DialTimeout)
	defer client.Close()
	results, err := client.Multi(
		&zk.CreateRequest{Path: "/multi", Data: []byte("a"), Acl: everyone},
		&zk.CreateRequest{Path: "/multi/x", Acl: everyone},
		&zk.SetDataRequest{Path: "/multi", Data: []byte("b"), Version: 0},
		&zk.CheckVersionRequest{Path: "/multi", Version: 1},
		&zk.DeleteRequest{Path: "/multi/x", Version: -1},
	)
	check(err == nil && len(results) == 5 && results[0].String == "/multi", "a multi of five", err)
	check(len(results) == 5 && results[2].Stat.Version == 1, "its results carry a Stat")
	results, err = client.Multi(
		&zk.CreateRequest{Path: "/multi/y", Acl: everyone},
		&zk.CheckVersionRequest{Path: "/multi", Version: 9},
		&zk.DeleteRequest{Path: "/multi", Version: -1},
	)
	check(len(results) == 3 && results[1].Error == zk.ErrBadVersion, "a failing check is reported", results, err)
	found, _, err := client.Exists("/multi/y")
	check(err == nil && !found, "nothing of it remains", err)
}

func access() {
	owner, stranger := connect(net.DialTimeout), connect(net.DialTimeout)
	defer owner.Close()
	defer stranger.Close()
	must(owner.AddAuth("digest", []byte("kim:secret")))
	_, err := owner.Create("/guarded", []byte("s"), 0, zk.DigestACL(zk.PermAll, "kim", "secret"))
	must(err)
	_, _, err = stranger.Get("/guarded")
	checkError(err, zk.ErrNoAuth, "get by a stranger")
	acl, _, err := owner.GetACL("/guarded")
	check(err == nil && len(acl) == 1 && strings.HasPrefix(acl[0].ID, "kim:"), "the ACL names the creator", acl, err)
	stat, err := owner.SetACL("/guarded", zk.WorldACL(zk.PermRead), 0)
	check(err == nil && stat.Aversion == 1, "setACL", err)
	bytes, _, err := stranger.Get("/guarded")
	check(err == nil && string(bytes) == "s", "a stranger reads once it may", err)
	_, err = stranger.Set("/guarded", nil, -1)
	checkError(err, zk.ErrNoAuth, "set by a stranger")
}

func sessions() {
	observer := connect(net.DialTimeout)
	defer observer.Close()
	var socket net.Conn
	var lock sync.Mutex
	owner := connect(func(network, target string, limit time.Duration) (net.Conn, error) {
		lock.Lock()
		defer lock.Unlock()
		var err error
		socket, err = net.DialTimeout(network, target, limit)
		return socket, err
	})
	_, err := owner.Create("/lease", nil, zk.FlagEphemeral, everyone)
	must(err)
	_, stat, gone, err := observer.ExistsW("/lease")
	must(err)
	session := owner.SessionID()
	check(stat.EphemeralOwner == session, "an ephemeral node names its session", stat)
	_, err = observer.Create("/lease/x", nil, 0, everyone)
	checkError(err, zk.ErrNoChildrenForEphemerals, "create below an ephemeral node")

	_, _, changed, err := owner.GetW("/lease")
	must(err)
	lock.Lock()
	must(socket.Close())
	lock.Unlock()
	_, err = observer.Set("/lease", []byte("while away"), -1)
	must(err)
	checkEvent(changed, zk.EventNodeDataChanged, "/lease", "a watch is set again after a cut, and what it missed is told")
	check(owner.SessionID() == session, "a cut connection resumes its session")
	checkEvent(gone, zk.EventNodeDataChanged, "/lease", "the observer sees the change")
	_, _, removed, err := observer.ExistsW("/lease")
	must(err)
	owner.Close()
	checkEvent(removed, zk.EventNodeDeleted, "/lease", "closing the session removes its node")
}

func locks() {
	const contenders, rounds = 5, 10
	var group sync.WaitGroup
	var guard sync.Mutex
	inside, most, entered := 0, 0, 0
	for i := 0; i < contenders; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			client := connect(net.DialTimeout)
			defer client.Close()
			for j := 0; j < rounds; j++ {
				lock := zk.NewLock(client, "/lock", everyone)
				if lock.Lock() != nil {
					return
				}
				guard.Lock()
				inside, entered = inside+1, entered+1
				if inside > most {
					most = inside
				}
				guard.Unlock()
				guard.Lock()
				inside--
				guard.Unlock()
				if lock.Unlock() != nil {
					return
				}
			}
		}()
	}
	group.Wait()
	check(entered == contenders*rounds && most == 1, "a lock has one holder at a time", entered, most)
}

func main() {
	address = os.Args[1]
	zk.DefaultLogger = silent{}
	scenario("data", data)
	scenario("concurrent", concurrent)
	scenario("watches", watches)
	scenario("multi", multi)
	scenario("access", access)
	scenario("sessions", sessions)
	scenario("locks", locks)
	fmt.Printf("1..%d\n", checks)
}
